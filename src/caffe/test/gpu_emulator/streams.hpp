#ifndef CAFFE_GPU_EMULATOR_STREAMS_HPP_
#define CAFFE_GPU_EMULATOR_STREAMS_HPP_

/// @file
/// Work in streams. By default it is done as soon as it is submitted; with CAFFE_EMULATED_GPU_LAZY, only when
/// somebody waits for it. What a real GPU may do lies between.

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "cuda_runtime_api.h"
#include "gpu_emulator.h"

namespace gpu_emulator {

/// When all is done that was submitted to a stream up to a certain call. Of no stream: it has passed.
struct Moment {
  std::shared_ptr<CUstream_st> stream;
  uint64_t position = 0;
};

/// cudaSuccess where the stream can be used by the calling thread.
cudaError_t ValidStream(cudaStream_t stream);
/// The device of a valid stream.
int DeviceOfStream(cudaStream_t stream);

/// Whether the stream exists and is one of the device.
bool CanUseStream(cudaStream_t stream, int device);

/// Waits until what is put into a valid stream now would be next.
void WaitForTurn(cudaStream_t stream);

/// How many kernels, calls of libraries, copies and the like the calling thread has put into streams, for
/// tests that count them.
uint64_t CountOfThread();

/// Does one or the other.
template <typename Work>
void RunInOrder(cudaStream_t stream, Work work) {
  if (RunsNow(stream)) {
    work();
  } else {
    Enqueue(stream, std::move(work));
  }
}

/// The same for what a GPU has to start.
template <typename Work>
void Submit(cudaStream_t stream, Work work) {
  AddToCount();
  RunInOrder(stream, std::move(work));
}

/// Puts work into a valid stream that goes on by itself once started; is_done tells when it has ended.
/// @return when that is.
Moment SubmitDetached(cudaStream_t stream, std::function<void()> start, std::function<bool()> is_done);

/// The present moment of a valid stream.
Moment Now(cudaStream_t stream);
void WaitFor(const Moment& moment);
void WaitForStream(cudaStream_t stream);
/// Waits for all streams of a device.
void WaitForDevice(int device);

}  // namespace gpu_emulator

#endif  // CAFFE_GPU_EMULATOR_STREAMS_HPP_
