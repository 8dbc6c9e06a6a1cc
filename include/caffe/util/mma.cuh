#ifndef CAFFE_UTIL_MMA_CUH_
#define CAFFE_UTIL_MMA_CUH_

/// @file
/// The instructions of tensor cores, and those that feed them, each as a function: all machine code that this
/// project writes by hand is here. From compute capability 8.0 on. For CUDA's compiler only, or for the
/// compiler of the host where CAFFE_GPU_EMULATOR stands in for a GPU.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "caffe/util/gpu_launch.cuh"

/// Before a loop with few turns, known when it is compiled: an array that it indexes can be in registers.
#ifdef CAFFE_GPU_EMULATOR
#define CAFFE_UNROLL
#else
#define CAFFE_UNROLL _Pragma("unroll")
#endif

namespace caffe {
namespace mma {

constexpr unsigned kWholeWarp = 0xffffffffu;

#ifdef CAFFE_GPU_EMULATOR

/// Copies that threads of a block have started. They are made as late as can be, and their places are filled
/// with garbage at once: who does not wait, or does not wait until a place is free, reads that.
class PendingCopies {
 public:
  /// Of the calling thread.
  static PendingCopies& Mine() {
    static thread_local std::map<unsigned, PendingCopies> of_threads;
    return of_threads[threadIdx.x];
  }
  void Start(void* to, const void* from) {
    std::memset(to, 0xa5, kBytes);
    open_.push_back({to, from});
  }
  void Commit() {
    groups_.push_back(std::move(open_));
    open_.clear();
  }
  void Wait(size_t pending) {
    for (; groups_.size() > pending; groups_.pop_front()) {
      for (const auto& [to, from] : groups_.front()) {
        if (from) {
          std::memcpy(to, from, kBytes);
        } else {
          std::memset(to, 0, kBytes);
        }
      }
    }
  }

 private:
  static constexpr size_t kBytes = 16;
  using Copy = std::pair<void*, const void*>;
  std::vector<Copy> open_;
  std::deque<std::vector<Copy>> groups_;
};

#endif

#ifdef CAFFE_GPU_EMULATOR

/// Of both products below: sums[i] += the sum over k of times(...) of 4 bytes each, which lie as they do
/// there.
template <typename Sum, typename Times>
void EmulateMultiplyAdd(const char* name, Sum (&sums)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                        const Times& times) {
  struct Operands {
    uint32_t a[4], b[2];
  };
  const Operands mine = {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
  const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
  const std::array<Sum, 4> before = {sums[0], sums[1], sums[2], sums[3]};
  const auto product = [=](const gpu_emulator::WarpValues<Operands>& warp) {
    std::array<Sum, 4> result = before;
    for (int i = 0; i < 4; ++i) {
      for (int word = 0; word < 8; ++word) {
        result[i] = times(result[i], warp[4 * g + word % 4].a[word / 4 * 2 + i / 2],
                          warp[4 * (2 * t + i % 2) + word % 4].b[word / 4]);
      }
    }
    return result;
  };
  const std::array<Sum, 4> result = gpu_emulator::WarpExchange(kWholeWarp, name, mine, product);
  std::copy(result.begin(), result.end(), sums);
}

#endif

/**
 * @brief sums += a b, a product of 16 x 32 and 32 x 8 signed bytes into 32-bit integers, which wrap around.
 *
 * By all threads of a warp. With g = lane / 4 and t = lane % 4, a thread has
 * - of a: a[i] is columns 4 t + 16 (i / 2) + 0...3 of row g + 8 (i % 2), the first in the lowest byte;
 * - of b: b[i] is rows 4 t + 16 i + 0...3 of column g;
 * - of sums: sums[i] is column 2 t + i % 2 of row g + 8 (i / 2).
 */
inline __device__ void MultiplyAdd(int32_t (&sums)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#ifdef CAFFE_GPU_EMULATOR
  EmulateMultiplyAdd("mma.m16n8k32.s8", sums, a, b, [](int32_t sum, uint32_t row, uint32_t column) {
    for (int shift = 0; shift < 32; shift += 8) {
      const int product = static_cast<int8_t>(row >> shift) * static_cast<int8_t>(column >> shift);
      sum = static_cast<int32_t>(static_cast<uint32_t>(sum) + static_cast<uint32_t>(product));
    }
    return sum;
  });
#else
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+r"(sums[0]), "+r"(sums[1]), "+r"(sums[2]), "+r"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

/**
 * @brief sums += a b, a product of 16 x 16 and 16 x 8 numbers of bfloat16 into floats.
 *
 * As for bytes, but with two numbers in the place of four bytes: a[i] is columns 2 t + 8 (i / 2) + 0...1 of
 * row g + 8 (i % 2), and b[i] is rows 2 t + 8 i + 0...1 of column g.
 */
inline __device__ void MultiplyAdd(float (&sums)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#ifdef CAFFE_GPU_EMULATOR
  EmulateMultiplyAdd("mma.m16n8k16.bf16", sums, a, b, [](float sum, uint32_t row, uint32_t column) {
    const auto lower = [](uint32_t word) { return __uint_as_float(word << 16); };
    const auto upper = [](uint32_t word) { return __uint_as_float(word & 0xffff0000u); };
    return sum + lower(row) * lower(column) + upper(row) * upper(column);
  });
#else
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

/// Two floats, rounded to the nearest (even) bfloat16, the first in the lower half.
inline __device__ uint32_t ToBF16(float lower, float upper) {
#ifdef CAFFE_GPU_EMULATOR
  const auto round = [](float value) {
    const uint32_t bits = __float_as_uint(value);
    return value == value ? (bits + 0x7fff + (bits >> 16 & 1)) >> 16 : 0x7fffu;
  };
  return round(upper) << 16 | round(lower);
#else
  uint32_t both;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(upper), "f"(lower));
  return both;
#endif
}

/**
 * @brief Reads four matrices of eight rows of 16 bytes each from shared memory.
 *
 * By all threads of a warp: lane l names row l % 8 of matrix l / 8, and gets of each matrix i the four bytes
 * 4 (l % 4) + 0...3 of row l / 4. Two of them, bytes 0...15 and 16...31 of the same rows, are b of
 * MultiplyAdd.
 *
 * @tparam kTransposed: of matrices of 8 x 8 numbers of 16 bits, and gets rows 2 (l % 4) + 0...1 of column l
 * / 4.
 * @param row is aligned to 16 bytes.
 */
template <bool kTransposed = false>
__device__ void LoadMatrices(const void* row, uint32_t (&matrices)[4]) {
#ifdef CAFFE_GPU_EMULATOR
  const int lane = threadIdx.x % 32;
  const auto read = [=](const gpu_emulator::WarpValues<const void*>& rows) {
    std::array<uint32_t, 4> words;
    for (int i = 0; i < 4; ++i) {
      if (kTransposed) {
        const auto half = [&](int k) {
          return uint32_t{static_cast<const uint16_t*>(rows[8 * i + lane % 4 * 2 + k])[lane / 4]};
        };
        words[i] = half(1) << 16 | half(0);
      } else {
        words[i] = static_cast<const uint32_t*>(rows[8 * i + lane / 4])[lane % 4];
      }
    }
    return words;
  };
  const std::array<uint32_t, 4> words = gpu_emulator::WarpExchange(kWholeWarp, "ldmatrix.m8n8.x4", row, read);
  std::copy(words.begin(), words.end(), matrices);
#else
  const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (kTransposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(matrices[0]), "=r"(matrices[1]), "=r"(matrices[2]), "=r"(matrices[3])
                 : "r"(address)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(matrices[0]), "=r"(matrices[1]), "=r"(matrices[2]), "=r"(matrices[3])
                 : "r"(address)
                 : "memory");
  }
#endif
}

/**
 * @brief Starts to copy 16 bytes from global to shared memory, both aligned to that; or zeros, where not
 * `exists`, and then `global` is not read.
 *
 * The copies that a thread started are one group with those since its last CommitCopies.
 */
inline __device__ void StartCopy(void* shared, const void* global, bool exists) {
#ifdef CAFFE_GPU_EMULATOR
  PendingCopies::Mine().Start(shared, exists ? global : nullptr);
#else
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
               :
               : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(shared))), "l"(global),
                 "r"(exists ? 16 : 0)
               : "memory");
#endif
}

/// Ends a group of copies of this thread, which may be empty.
inline __device__ void CommitCopies() {
#ifdef CAFFE_GPU_EMULATOR
  PendingCopies::Mine().Commit();
#else
  asm volatile("cp.async.commit_group;" : : : "memory");
#endif
}

/// Waits until all groups of this thread's copies but the last kPending are done. Other threads see them
/// after a barrier.
template <int kPending>
__device__ void WaitForCopies() {
#ifdef CAFFE_GPU_EMULATOR
  PendingCopies::Mine().Wait(kPending);
#else
  asm volatile("cp.async.wait_group %0;" : : "n"(kPending) : "memory");
#endif
}

}  // namespace mma
}  // namespace caffe

#endif  // CAFFE_UTIL_MMA_CUH_
