#ifndef CAFFE_UTIL_GPU_STREAM_HPP_
#define CAFFE_UTIL_GPU_STREAM_HPP_

#include "caffe/common.hpp"

#ifndef CPU_ONLY

namespace caffe {

/// A stream of the calling thread's GPU, which waits for none of the other streams unless it is told to. What
/// it has to do goes before what they have.
class GpuStream {
 public:
  GpuStream() {
    int least_priority = 0, greatest_priority = 0;
    CUDA_CHECK(cudaDeviceGetStreamPriorityRange(&least_priority, &greatest_priority));
    CUDA_CHECK(cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, greatest_priority));
  }
  ~GpuStream() { cudaStreamDestroy(stream_); }
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;

  DISABLE_COPY_AND_ASSIGN(GpuStream);
};

/// A point in what a stream of the calling thread's GPU has to do; it takes no time.
class GpuEvent {
 public:
  GpuEvent() { CUDA_CHECK(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming)); }
  ~GpuEvent() { cudaEventDestroy(event_); }
  cudaEvent_t get() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;

  DISABLE_COPY_AND_ASSIGN(GpuEvent);
};

}  // namespace caffe

#endif  // !CPU_ONLY

#endif  // CAFFE_UTIL_GPU_STREAM_HPP_
