#ifndef CAFFE_UTIL_GPU_STREAM_HPP_
#define CAFFE_UTIL_GPU_STREAM_HPP_

#include "caffe/common.hpp"

#ifndef CPU_ONLY

namespace caffe {

/// A stream of the calling thread's GPU that waits for no other unless it is told to. What it has to do goes
/// before what they have.
class GpuStream {
 public:
  GpuStream() {
    int least_priority = 0, greatest_priority = 0;
    CUDA_CHECK(cudaDeviceGetStreamPriorityRange(&least_priority, &greatest_priority));
    CUDA_CHECK(cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, greatest_priority));
  }
  ~GpuStream() { cudaStreamDestroy(stream_); }
  cudaStream_t get() const { return stream_; }
  /// Returns when all that was put into it is done. @throws Error where that failed.
  void Wait() const { CUDA_CHECK(cudaStreamSynchronize(stream_)); }

 private:
  cudaStream_t stream_ = nullptr;

  DISABLE_COPY_AND_ASSIGN(GpuStream);
};

/// A moment in what a GPU does, of the calling thread's when it is first recorded.
class GpuEvent {
 public:
  GpuEvent() = default;
  ~GpuEvent() {
    if (event_) cudaEventDestroy(event_);
  }
  /// The moment when all is done that was put into `stream` up to now.
  void Record(cudaStream_t stream) {
    if (!event_) CUDA_CHECK(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming));
    CUDA_CHECK(cudaEventRecord(event_, stream));
  }
  /// Lets what is put into `stream` from now on wait for the moment; for none where it was never recorded.
  void LetWait(cudaStream_t stream) const {
    if (event_) CUDA_CHECK(cudaStreamWaitEvent(stream, event_, 0));
  }
  /// Whether the moment has passed, or was never recorded. @throws Error where what went before failed.
  bool HasPassed() const {
    const cudaError_t status = event_ ? cudaEventQuery(event_) : cudaSuccess;
    if (status == cudaErrorNotReady) {
      // So that nobody takes the answer for an error.
      cudaGetLastError();
      return false;
    }
    CUDA_CHECK(status);
    return true;
  }

 private:
  cudaEvent_t event_ = nullptr;

  DISABLE_COPY_AND_ASSIGN(GpuEvent);
};

}  // namespace caffe

#endif  // !CPU_ONLY

#endif  // CAFFE_UTIL_GPU_STREAM_HPP_
