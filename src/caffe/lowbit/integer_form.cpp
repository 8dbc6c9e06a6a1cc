#include "caffe/lowbit/integer_form.hpp"

#include <algorithm>

namespace caffe {
namespace lowbit {

namespace {

constexpr int kOutputs = Int8Kernel::kOutputs;

}  // namespace

IntegerForm::IntegerForm(const TensorInfo& input, const ConvolutionInfo& info, int value_bytes,
                         const Int8Kernel::Sums& kernel, const int8_t* weights)
    : layout(input, info, input.channels / info.groups, value_bytes),
      kernel_(kernel),
      values_(kernel.unit_bytes / value_bytes),
      groups_(info.groups),
      group_outputs_(info.outputs / info.groups),
      group_blocks_((group_outputs_ + kOutputs - 1) / kOutputs) {
  const Window window = layout.window();
  offsets_.assign(window.offsets, window.offsets + window.pieces);
  for (int piece = 0; piece < window.pieces; ++piece) {
    units_.push_back((window.units[piece] + values_ - 1) / values_);
    total_units_ += units_.back();
  }
  Pack(weights);
}

void IntegerForm::Sum(const uint8_t* const* pixels, int count, int block, const int32_t* const* starts,
                      const float* units, const float* scales, float* sums) const {
  const int group = block / group_blocks_, in_group = block % group_blocks_;
  const Window window = {offsets_.data(), units_.data(), static_cast<int>(offsets_.size()), total_units_};
  const uint8_t* const weights = weights_.data() + Offset(group, in_group * kOutputs / kernel_.strip);
  uint8_t* const scratch =
      kernel_.scratch_bytes ? ThreadScratch(kernel_.scratch_bytes(total_units_)) : nullptr;
  kernel_.run(pixels, count, window, reinterpret_cast<const int8_t*>(weights), Strips(in_group), starts,
              units, scales, scratch, sums);
}

void IntegerForm::Pack(const int8_t* weights) {
  weights_ = AlignedBytes(GroupBytes() * groups_ + Int8Kernel::kWeightsReadAhead);
  std::fill_n(weights_.data(), weights_.size(), uint8_t{0});
  const Window window = layout.window();
  for (int output = 0; output < groups_ * group_outputs_; ++output) {
    const int in_group = output % group_outputs_;
    uint8_t* column = weights_.data() + Offset(output / group_outputs_, in_group / kernel_.strip) +
                      in_group % kernel_.strip * values_;
    for (int piece = 0; piece < window.pieces; ++piece) {
      for (int k = 0; k < window.units[piece]; ++k) {
        column[int64_t{k / values_} * values_ * kernel_.strip + k % values_] =
            static_cast<uint8_t>(*weights++);
      }
      column += int64_t{units_[piece]} * values_ * kernel_.strip;
    }
  }
}

int IntegerForm::Strips(int block) const {
  return (std::min(kOutputs, group_outputs_ - block * kOutputs) + kernel_.strip - 1) / kernel_.strip;
}

int64_t IntegerForm::StripBytes() const { return int64_t{total_units_} * values_ * kernel_.strip; }

int64_t IntegerForm::GroupBytes() const {
  return StripBytes() * ((group_blocks_ - 1) * (kOutputs / kernel_.strip) + Strips(group_blocks_ - 1));
}

}  // namespace lowbit
}  // namespace caffe
