#ifndef CAFFE_UTIL_SCRATCH_MEMORY_HPP_
#define CAFFE_UTIL_SCRATCH_MEMORY_HPP_

#include <cstddef>

#include "caffe/common.hpp"
#include "caffe/syncedmem.hpp"

namespace caffe {

/// Host memory, aligned to lines of the cache, that grows, is not initialized and loses its values as it
/// grows.
class ScratchMemory {
 public:
  ScratchMemory() = default;
  ~ScratchMemory() { Free(); }

  float* Get(size_t bytes) {
    if (bytes > size_) {
      Free();
      CaffeMallocHost(&data_, bytes, &use_cuda_);
      size_ = bytes;
    }
    return static_cast<float*>(data_);
  }

 private:
  void Free() {
    if (data_) CaffeFreeHost(data_, use_cuda_);
    data_ = nullptr;
    size_ = 0;
  }
  void* data_ = nullptr;
  size_t size_ = 0;
  bool use_cuda_ = false;

  DISABLE_COPY_AND_ASSIGN(ScratchMemory);
};

}  // namespace caffe

#endif  // CAFFE_UTIL_SCRATCH_MEMORY_HPP_
