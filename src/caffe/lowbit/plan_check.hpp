#ifndef CAFFE_LOWBIT_PLAN_CHECK_HPP_
#define CAFFE_LOWBIT_PLAN_CHECK_HPP_

#include "caffe/lowbit/plan.hpp"

namespace caffe {
namespace lowbit {

/// Elements of an image's tensor, padding included: more are refused.
constexpr int64_t kMaxElements = int64_t{1} << 28;

/// Tensors, and stages, of a plan: more are refused.
constexpr size_t kMaxParts = size_t{1} << 14;

/// Memory that a model's weights and thresholds may take when they are laid out for a processor: so much, and
/// so much for each byte of its file. Small ones are padded, and a bit may become a float.
constexpr int64_t kPreparedBytes = int64_t{64} << 20;
constexpr int64_t kPreparedBytesPerByte = 64;

/// Channels, height and width of an image's tensor.
struct Shape {
  int channels, height, width;
};

/// How a window moves over an image: of a convolution or a pooling.
struct Geometry {
  int kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
};

/// What the attributes of a convolution say, binary or not.
struct ConvolutionInfo {
  int outputs;
  Geometry geometry;
  int groups;
  /// Weights of an output.
  int64_t weights;
  Shape result;
};

struct PoolingInfo {
  bool mean;
  Geometry geometry;
  Shape result;
};

/// Attributes of stages of these kinds. @throws PlanError where they are wrong, or do not fit the input.
ConvolutionInfo ReadConvolution(const Plan& plan, const StageInfo& stage);
PoolingInfo ReadPooling(const Plan& plan, const StageInfo& stage);

/// The dimensions of a Caffe layer's inputs, without the first. @throws PlanError where they are not those of
/// its input tensors.
std::vector<std::vector<int64_t>> ReadForeignInputs(const Plan& plan, const StageInfo& stage);

/// Of a stage's result. @throws PlanError where the stage's attributes or arrays are wrong, or do not fit the
/// input.
Shape ResultShape(const Plan& plan, const StageInfo& stage);

/// @throws PlanError for a tensor without elements, or with too many.
void CheckTensor(const TensorInfo& tensor);

/// @throws PlanError where the plan contradicts itself, see ReadPlan, or takes memory out of proportion to
/// its file.
void CheckPlan(const Plan& plan, size_t file_bytes);

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_PLAN_CHECK_HPP_
