#ifndef CAFFE_GPU_EMULATOR_SANITIZER_HPP_
#define CAFFE_GPU_EMULATOR_SANITIZER_HPP_

/// @file
/// Where the build uses AddressSanitizer, what it has to be told: on which stack the thread is, and what
/// memory of a GPU nobody may touch. Then a kernel that reads outside its allocations is stopped at the line
/// that does so.

#include <cstddef>

#ifdef __SANITIZE_ADDRESS__

#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

namespace gpu_emulator {

inline void Forbid(const void* begin, size_t bytes) { __asan_poison_memory_region(begin, bytes); }
inline void Allow(const void* begin, size_t bytes) { __asan_unpoison_memory_region(begin, bytes); }
/// Before the thread goes from the stack that it is on, of which *left is kept, to another.
inline void LeaveStack(void** left, const void* other, size_t bytes) {
  __sanitizer_start_switch_fiber(left, other, bytes);
}
/// On the other; *other and *bytes: the stack that it came from.
inline void EnterStack(void* left_before, const void** other, size_t* bytes) {
  __sanitizer_finish_switch_fiber(left_before, other, bytes);
}

}  // namespace gpu_emulator

#define GPU_EMULATOR_UNCHECKED __attribute__((no_sanitize_address))

#else

namespace gpu_emulator {

inline void Forbid(const void*, size_t) {}
inline void Allow(const void*, size_t) {}
inline void LeaveStack(void**, const void*, size_t) {}
inline void EnterStack(void*, const void**, size_t*) {}

}  // namespace gpu_emulator

#define GPU_EMULATOR_UNCHECKED

#endif

#endif  // CAFFE_GPU_EMULATOR_SANITIZER_HPP_
