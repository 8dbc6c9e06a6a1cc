#ifndef CAFFE_LOWBIT_CUDA_RECORDINGS_HPP_
#define CAFFE_LOWBIT_CUDA_RECORDINGS_HPP_

#include <cuda_runtime.h>

#include <functional>
#include <map>

#include "caffe/lowbit/cuda/check.hpp"

namespace caffe {
namespace lowbit {
namespace gpu {

/**
 * @brief What passes of some sizes start on the GPU, recorded as CUDA graphs: to start a graph takes a few
 * microseconds, to start its kernels one by one as much for each.
 *
 * HWGQ_GPU_GRAPH=0 in the environment has all started one by one.
 */
class Recordings {
 public:
  Recordings() = default;
  ~Recordings();
  Recordings(const Recordings&) = delete;
  Recordings& operator=(const Recordings&) = delete;

  /// Starts on the calling thread's stream what `start` starts by LaunchKernel, which must be the same for
  /// the same size and all that it starts.
  void Run(int size, const std::function<void()>& start);

 private:
  /// Null after the first pass of a size: the first one may still have to load kernels.
  std::map<int, cudaGraphExec_t> graphs_;
};

}  // namespace gpu
}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_CUDA_RECORDINGS_HPP_
