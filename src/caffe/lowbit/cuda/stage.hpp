#ifndef CAFFE_LOWBIT_CUDA_STAGE_HPP_
#define CAFFE_LOWBIT_CUDA_STAGE_HPP_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "caffe/lowbit/cuda/steps.hpp"
#include "caffe/lowbit/plan.hpp"

namespace caffe {
namespace lowbit {
namespace gpu {

/// A stage of a plan, with its weights on the GPU that was the calling thread's when it was made.
class Stage {
 public:
  explicit Stage(StageSteps steps) : steps_(std::move(steps)) {}
  virtual ~Stage() = default;

  /// Bytes that a pass over so many images needs beside the tensors.
  virtual size_t RoomBytes(int /*images*/) const { return 0; }

  /// Starts to compute the stage's tensors from its inputs, on the calling thread's stream. `room` is aligned
  /// to 256 bytes.
  virtual void Start(const Tensors& tensors, const StepList& steps, uint8_t* room) const = 0;

  /// The kernel or way of computing, for reports.
  virtual const char* Kernel() const = 0;

  const StageSteps& steps() const { return steps_; }

 private:
  const StageSteps steps_;
};

/// The plan's arrays must outlive the stage.
/// @param by_channels whether the input lies in Caffe's order, which only convolutions of reals read.
/// @throws PlanError where no GPU computes it.
std::unique_ptr<Stage> MakeStage(const Plan& plan, const StageInfo& stage, bool by_channels);

std::unique_ptr<Stage> MakeBinaryConvolution(const Plan& plan, const StageInfo& stage);
std::unique_ptr<Stage> MakeFloatConvolution(const Plan& plan, const StageInfo& stage, bool by_channels);
std::unique_ptr<Stage> MakePooling(const Plan& plan, const StageInfo& stage);
/// Maps, softmax and local response normalization.
std::unique_ptr<Stage> MakeElementwise(const Plan& plan, const StageInfo& stage);

/// Starts to bring images of a tensor from Caffe's order, channel by channel, to that of tensors here, pixel
/// by pixel, and back; both are on the GPU.
void StartFromCaffe(const TensorInfo& tensor, const float* x, int images, float* y);
void StartToCaffe(const TensorInfo& tensor, const float* x, int images, float* y);

}  // namespace gpu
}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_CUDA_STAGE_HPP_
