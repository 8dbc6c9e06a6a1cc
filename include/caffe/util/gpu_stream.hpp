#ifndef CAFFE_UTIL_GPU_STREAM_HPP_
#define CAFFE_UTIL_GPU_STREAM_HPP_

#include "caffe/common.hpp"

#ifndef CPU_ONLY

namespace caffe {

/// A stream of the calling thread's GPU that waits for no other.
class GpuStream {
 public:
  GpuStream() { CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
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

 private:
  cudaEvent_t event_ = nullptr;

  DISABLE_COPY_AND_ASSIGN(GpuEvent);
};

}  // namespace caffe

#endif  // !CPU_ONLY

#endif  // CAFFE_UTIL_GPU_STREAM_HPP_
