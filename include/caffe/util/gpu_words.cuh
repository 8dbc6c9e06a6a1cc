#ifndef CAFFE_UTIL_GPU_WORDS_CUH_
#define CAFFE_UTIL_GPU_WORDS_CUH_

/// @file
/// How kernels that only move values move several at once. For .cu files.

#include <cstdint>
#include <initializer_list>

#include "caffe/util/device_alternate.hpp"

namespace caffe {

/// So many bytes, which a thread reads and writes at once.
template <int kBytes>
struct alignas(kBytes) GpuWord {
  uint32_t parts[kBytes / 4];
};

/**
 * @brief Calls body(word) with a GpuWord of the most bytes, up to 16, into which arrays of T can be taken
 * apart.
 *
 * @param counts numbers of T that have to be whole numbers of words: of runs, and between their beginnings.
 * @param pointers where arrays begin.
 */
template <typename T, typename Body>
void WithWidestWord(std::initializer_list<int64_t> counts, std::initializer_list<const T*> pointers,
                    const Body& body) {
  uint64_t bits = 0;
  for (const int64_t count : counts) bits |= static_cast<uint64_t>(count) * sizeof(T);
  for (const T* pointer : pointers) bits |= reinterpret_cast<uintptr_t>(pointer);
  if (bits % 16 == 0) {
    body(GpuWord<16>());
  } else if (sizeof(T) < 8 && bits % 8 == 0) {
    body(GpuWord<8>());
  } else {
    body(GpuWord<sizeof(T)>());
  }
}

}  // namespace caffe

#endif  // CAFFE_UTIL_GPU_WORDS_CUH_
