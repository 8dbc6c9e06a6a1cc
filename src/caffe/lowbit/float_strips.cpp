#include "caffe/lowbit/float_strips.hpp"

#include <algorithm>

namespace caffe {
namespace lowbit {

namespace {

constexpr int kOutputs = FloatKernel::kOutputs;

}  // namespace

FloatStrips::FloatStrips(const FloatKernel& kernel, int groups, int group_outputs, int64_t weights_of_output)
    : strip_(kernel.strip),
      group_outputs_(group_outputs),
      blocks_((group_outputs + kOutputs - 1) / kOutputs),
      weights_of_output_(weights_of_output),
      weights_(sizeof(float) * GroupWeights() * groups) {
  std::fill_n(Begin(0, 0), GroupWeights() * groups, 0.f);
}

void FloatStrips::Pack(int group, int output, const float* row) {
  const int in_block = output % kOutputs;
  float* const column =
      Begin(group, output / kOutputs) + in_block / strip_ * weights_of_output_ * strip_ + in_block % strip_;
  for (int64_t k = 0; k < weights_of_output_; ++k) column[k * strip_] = row[k];
}

int FloatStrips::Outputs(int block) const { return std::min(kOutputs, group_outputs_ - block * kOutputs); }

int64_t FloatStrips::GroupWeights() const {
  return weights_of_output_ * (kOutputs * (blocks_ - 1) + strip_ * Strips(blocks_ - 1));
}

float* FloatStrips::Begin(int group, int block) const {
  return reinterpret_cast<float*>(weights_.data()) + group * GroupWeights() +
         block * weights_of_output_ * kOutputs;
}

}  // namespace lowbit
}  // namespace caffe
