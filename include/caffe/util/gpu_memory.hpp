#ifndef CAFFE_UTIL_GPU_MEMORY_HPP_
#define CAFFE_UTIL_GPU_MEMORY_HPP_

#include "caffe/common.hpp"

#ifndef CPU_ONLY

#include <cstddef>

namespace caffe {

/// That a GPU has not enough memory, with how much was asked for and how much is free.
class GpuMemoryError : public Error {
 public:
  using Error::Error;
};

/**
 * @brief Memory of the calling thread's GPU, from a pool that keeps what is given back.
 *
 * Taking and giving back cost about a microsecond and wait for nothing: memory that is given back is handed
 * out again once the kernels that were started before are done with it.
 *
 * @throws GpuMemoryError
 */
void* GpuAllocate(size_t bytes);
/// `after` is the stream whose work so far may still use the memory; cudaStreamLegacy stands for all threads.
void GpuRelease(void* memory, cudaStream_t after = cudaStreamPerThread) noexcept;

/// Lets what the calling thread starts from now on wait for what all threads have started on its GPU.
void GpuFollowAllThreads();

/// Makes a device the calling thread's for as long as it lives; nothing happens for -1.
class GpuDeviceGuard {
 public:
  explicit GpuDeviceGuard(int device) noexcept;
  ~GpuDeviceGuard();

 private:
  int before_ = -1;

  DISABLE_COPY_AND_ASSIGN(GpuDeviceGuard);
};

/// In bytes, of the calling thread's GPU.
struct GpuMemoryRoom {
  size_t free;   ///< what others may take, and what is kept
  size_t kept;   ///< what GpuAllocate's pool keeps of what was given back, maybe in pieces
  size_t total;  ///< of the GPU
};
GpuMemoryRoom GetGpuMemoryRoom();

/// In bytes, of the calling thread's GPU.
struct GpuMemoryUse {
  size_t now;
  size_t peak;  ///< since the start, or since ResetGpuPeakMemory
};
/// What this process holds of what GpuAllocate gave out.
GpuMemoryUse GetGpuMemoryUse();
void ResetGpuPeakMemory();

/**
 * @brief Room for `count` elements of T on the calling thread's GPU, for as long as it lives; undefined
 * values.
 *
 * By default for one thread, which also ends it. Where others may compute with it, or end it, `users` is
 * cudaStreamLegacy: then it is given back when all threads are done with it.
 */
template <typename T>
class GpuArray {
 public:
  explicit GpuArray(size_t count, cudaStream_t users = cudaStreamPerThread)
      : device_(Caffe::device()), users_(users), data_(static_cast<T*>(GpuAllocate(count * sizeof(T)))) {}
  ~GpuArray() {
    const GpuDeviceGuard guard(device_);
    GpuRelease(data_, users_);
  }
  T* get() const { return data_; }

 private:
  const int device_;
  const cudaStream_t users_;
  T* data_;

  DISABLE_COPY_AND_ASSIGN(GpuArray);
};

}  // namespace caffe

#endif  // !CPU_ONLY

#endif  // CAFFE_UTIL_GPU_MEMORY_HPP_
