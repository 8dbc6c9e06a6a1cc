#ifndef CAFFE_LOWBIT_CUDA_STEPS_HPP_
#define CAFFE_LOWBIT_CUDA_STEPS_HPP_

#include <cstdint>
#include <vector>

#include "caffe/lowbit/cuda/check.hpp"
#include "caffe/lowbit/cuda/tensors.hpp"

namespace caffe {
namespace lowbit {
namespace gpu {

/// A step as kernels know it.
struct DeviceStep {
  StepKind kind;
  /// Of thresholds.
  int count;
  float k0, k1;
  /// Of an affine step its factors and terms, of levels thresholds and values, else thresholds alone.
  const void *a, *b;
  /// The step's tensor, from the first channel on that the step reads or writes.
  uint8_t* tensor;
  int stride;
  /// Whether any four channels that are computed together are aligned in the tensor.
  bool aligned;
};

/// The steps of a stage on the GPU, for kernels. Of integers the first ones are thresholds.
struct StepList {
  const DeviceStep* steps;
  int count;
  /// Channels of the stage's result: what lies between two thresholds of a channel.
  int channels;
};

/// The steps of a stage, with their arrays on the calling thread's GPU.
class StageSteps {
 public:
  /// @param groups of channels, which are computed apart from each other.
  /// @param scales what real values are multiplied by before the steps, one a channel; or null.
  StageSteps(const Plan& plan, const StageInfo& stage, int channels, int groups,
             const ArrayView* scales = nullptr);

  /// Steps for tensors that lie there.
  std::vector<DeviceStep> At(const Tensors& tensors) const;

  /// With what At returned, on the GPU.
  StepList List(const DeviceStep* steps) const { return {steps, static_cast<int>(steps_.size()), channels_}; }

 private:
  struct Step {
    DeviceStep step;
    int tensor;
    int64_t offset_bytes;
  };

  const void* Keep(DeviceBytes bytes);

  const int channels_;
  std::vector<Step> steps_;
  std::vector<DeviceBytes> arrays_;
};

}  // namespace gpu
}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_CUDA_STEPS_HPP_
