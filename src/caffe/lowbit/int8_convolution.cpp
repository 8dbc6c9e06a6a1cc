#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <vector>

#include "caffe/lowbit/convolution_layout.hpp"
#include "caffe/lowbit/int8_kernel.hpp"
#include "caffe/lowbit/result_parts.hpp"
#include "caffe/lowbit/scratch.hpp"
#include "caffe/lowbit/stage.hpp"
#include "caffe/util/target_clones.hpp"

namespace caffe {
namespace lowbit {

namespace {

constexpr int kOutputs = Int8Kernel::kOutputs;
// A multiple of what kernels take at a time; tiles stay in the first cache.
constexpr int kTilePixels = 24;
// Sums that leave the input fewer steps than this from 0 to the largest magnitude are left to floats.
constexpr int kLeastSteps = 4095;

int32_t BitsOf(float value) {
  int32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

// The bits of the largest magnitude; those of infinities and of NaNs are above all others.
CAFFE_TARGET_CLONES int32_t LargestBits(const float* values, int64_t count) {
  int32_t largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    int32_t bits;
    std::memcpy(&bits, values + i, sizeof(bits));
    bits &= 0x7fffffff;
    largest = largest > bits ? largest : bits;
  }
  return largest;
}

// Rounds values times `factor`, which are within 16 bits.
CAFFE_TARGET_CLONES void ToIntegers(const float* values, int64_t count, float factor, int16_t* integers) {
  for (int64_t i = 0; i < count; ++i) {
    // Numbers between 2^23 and 2^24 have no fraction, and the integer in their lowest bits.
    const float shifted = values[i] * factor + 12582912.f;
    int32_t bits;
    std::memcpy(&bits, &shifted, sizeof(bits));
    integers[i] = static_cast<int16_t>(bits);
  }
}

/**
 * @brief A convolution of real numbers whose weights are 8-bit integers times a scale an output.
 *
 * Each image becomes 16-bit integers times a power of two, its unit: the least with which sums surely fit
 * into 32 bits. Integers up to that bound, such as an image's pixels, stay as they are; other values are
 * rounded by at most the largest magnitude divided by the bound, which is 2^15 - 1 for windows of up to 516
 * weights. Sums of integers are exact. An image with a value that is not finite is summed in floats.
 */
class Int8Convolution : public RowStage {
 public:
  Int8Convolution(const Plan& plan, const StageInfo& stage, const Int8Kernel& kernel, int most)
      : input_(plan.tensors[stage.inputs[0]]),
        tensor_(stage.inputs[0]),
        info_(ReadConvolution(plan, stage)),
        kernel_(kernel),
        most_(most),
        group_channels_(input_.channels / info_.groups),
        layout_(input_, info_, group_channels_, sizeof(int16_t)),
        group_outputs_(info_.outputs / info_.groups),
        group_blocks_((group_outputs_ + kOutputs - 1) / kOutputs),
        file_weights_(stage.arrays[0].as<int8_t>()),
        file_scales_(stage.arrays[1].as<float>()),
        steps_(plan, stage) {
    const Window window = layout_.window();
    offsets_.assign(window.offsets, window.offsets + window.pieces);
    for (int piece = 0; piece < window.pieces; ++piece) units_.push_back((window.units[piece] + 1) / 2);
    for (const int units : units_) total_units_ += units;
    PackWeights();
  }

  size_t RoomBytes(int images) const override { return images * ImageBytes(); }

  const char* Kernel() const override { return kernel_.name; }

  int ResultHeight() const override { return info_.result.height; }

  void Prepare(const Tensors& tensors, uint8_t* room, int threads) const override {
    EachRow(tensors.images, input_.height, threads, [&](int image, int row) {
      LargestOfRows(room, image)[row] = LargestBits(Row(tensors, image, row), RowElements());
    });
    for (int image = 0; image < tensors.images; ++image) {
      int32_t* const of_rows = LargestOfRows(room, image);
      *UnitOf(room, image) = Unit(*std::max_element(of_rows, of_rows + input_.height));
    }
    EachRow(tensors.images, layout_.padded_height, threads,
            [&](int image, int row) { ConvertRow(tensors, image, row, room); });
  }

  void RunRows(const Tensors& tensors, uint8_t* room, int64_t begin_row, int64_t end_row,
               int threads) const override {
    const int64_t first_pixel = begin_row * info_.result.width;
    RunParts((end_row - begin_row) * info_.result.width, group_blocks_ * info_.groups, threads,
             [&](int64_t first, int count, int begin, int end) {
               for (int p = 0; p < count; p += kTilePixels) {
                 RunTile(tensors, room, first_pixel + first + p, std::min(kTilePixels, count - p), begin,
                         end);
               }
             });
  }

 private:
  // Of an image: its integers; then the largest magnitude of each row, as bits; then the unit.
  size_t IntegerBytes() const { return Aligned(layout_.image_bytes() + sizeof(int16_t)); }
  size_t ImageBytes() const {
    return IntegerBytes() + Aligned(sizeof(int32_t) * input_.height + sizeof(float));
  }
  int16_t* Integers(uint8_t* room, int image) const {
    return reinterpret_cast<int16_t*>(room + image * ImageBytes());
  }
  int32_t* LargestOfRows(uint8_t* room, int image) const {
    return reinterpret_cast<int32_t*>(room + image * ImageBytes() + IntegerBytes());
  }
  float* UnitOf(uint8_t* room, int image) const {
    return reinterpret_cast<float*>(LargestOfRows(room, image) + input_.height);
  }

  int64_t RowElements() const { return int64_t{input_.width} * input_.channels; }
  const float* Row(const Tensors& tensors, int image, int row) const {
    return tensors.real(tensor_) + (int64_t{image} * input_.height + row) * RowElements();
  }

  // Of an image whose largest magnitude has these bits; a NaN where it is not finite.
  float Unit(int32_t largest_bits) const {
    if (largest_bits >= BitsOf(std::numeric_limits<float>::infinity()))
      return std::numeric_limits<float>::quiet_NaN();
    if (largest_bits == 0) return 1;
    float largest;
    std::memcpy(&largest, &largest_bits, sizeof(largest));
    // A smaller unit, or what is made of it, might be no normal float.
    return std::ldexp(1.f, -std::min(std::ilogb(most_ / double{largest}), 120));
  }

  void ConvertRow(const Tensors& tensors, int image, int padded_row, uint8_t* room) const {
    const int row = padded_row - info_.geometry.pad_h;
    const int64_t border = int64_t{info_.geometry.pad_w} * input_.channels;
    int16_t* const out = Integers(room, image) + padded_row * (RowElements() + 2 * border);
    const float unit = *UnitOf(room, image);
    if (row < 0 || row >= input_.height || !std::isfinite(unit)) {
      std::fill_n(out, RowElements() + 2 * border, int16_t{0});
      return;
    }
    std::fill_n(out, border, int16_t{0});
    ToIntegers(Row(tensors, image, row), RowElements(), 1 / unit, out + border);
    std::fill_n(out + border + RowElements(), border, int16_t{0});
  }

  // Strips of a block's outputs that are there.
  int Strips(int block) const {
    const int outputs = std::min(kOutputs, group_outputs_ - block % group_blocks_ * kOutputs);
    return (outputs + kernel_.strip - 1) / kernel_.strip;
  }
  // Of a strip's weights.
  int64_t StripBytes() const { return int64_t{total_units_} * 2 * kernel_.strip; }
  // Of a group's, whose blocks are whole, but for the strips that the last of them lacks.
  int64_t GroupBytes() const {
    return StripBytes() * ((group_blocks_ - 1) * (kOutputs / kernel_.strip) + Strips(group_blocks_ - 1));
  }
  int8_t* Weights(int group, int strip) const {
    return reinterpret_cast<int8_t*>(weights_.data()) + group * GroupBytes() + strip * StripBytes();
  }

  void PackWeights() {
    weights_ = AlignedBytes(GroupBytes() * info_.groups);
    std::fill_n(weights_.data(), weights_.size(), uint8_t{0});
    scales_.assign(static_cast<size_t>(info_.groups) * group_blocks_ * kOutputs, 0.f);
    for (int output = 0; output < info_.outputs; ++output) {
      const int group = output / group_outputs_, in_group = output % group_outputs_;
      scales_[group * group_blocks_ * kOutputs + in_group] = file_scales_[output];
      const int8_t* row = file_weights_ + output * info_.weights;
      int8_t* column = Weights(group, in_group / kernel_.strip) + in_group % kernel_.strip * 2;
      for (int piece = 0; piece < layout_.window().pieces; ++piece) {
        const int values = layout_.window().units[piece];
        for (int k = 0; k < values; ++k) column[int64_t{k / 2} * 2 * kernel_.strip + k % 2] = row[k];
        row += values;
        column += int64_t{units_[piece]} * 2 * kernel_.strip;
      }
    }
  }

  void RunTile(const Tensors& tensors, uint8_t* room, int64_t first, int count, int begin, int end) const {
    alignas(64) float sums[kTilePixels * kOutputs];
    const int16_t* windows[kTilePixels];
    float units[kTilePixels];
    PixelPlace place(info_.result, first);
    for (int p = 0; p < count; ++p, place.Next()) {
      windows[p] = Integers(room, place.image) +
                   layout_.WindowOffset(place.y, place.x) / static_cast<int>(sizeof(int16_t));
      units[p] = *UnitOf(room, place.image);
    }
    const bool finite = std::all_of(units, units + count, [](float unit) { return std::isfinite(unit); });
    const Window window = {offsets_.data(), units_.data(), static_cast<int>(offsets_.size()), total_units_};
    for (int block = begin; block < end; ++block) {
      const int group = block / group_blocks_, output = block % group_blocks_ * kOutputs;
      const int16_t* of_group[kTilePixels];
      for (int p = 0; p < count; ++p) of_group[p] = windows[p] + group * group_channels_;
      kernel_.sums(of_group, count, window, Weights(group, output / kernel_.strip), Strips(block), units,
                   scales_.data() + int64_t{block} * kOutputs, sums);
      const Part part = {first, count, group * group_outputs_ + output,
                         std::min(kOutputs, group_outputs_ - output)};
      if (!finite) SumInFloats(tensors, part, units, sums);
      steps_.Run(tensors, part, {sums, kOutputs});
    }
  }

  // The sums of those pixels whose image is not finite.
  void SumInFloats(const Tensors& tensors, const Part& part, const float* units, float* sums) const {
    std::vector<float> weights(info_.weights);
    for (int c = 0; c < part.channels; ++c) {
      const int output = part.channel + c;
      for (int64_t k = 0; k < info_.weights; ++k) {
        weights[k] = file_scales_[output] * file_weights_[output * info_.weights + k];
      }
      PixelPlace place(info_.result, part.pixel);
      for (int p = 0; p < part.pixels; ++p, place.Next()) {
        if (!std::isfinite(units[p])) sums[p * kOutputs + c] = FloatSum(tensors, place, output, weights);
      }
    }
  }

  float FloatSum(const Tensors& tensors, const PixelPlace& place, int output,
                 const std::vector<float>& weights) const {
    const Geometry& g = info_.geometry;
    const int first_channel = output / group_outputs_ * group_channels_;
    float sum = 0;
    const float* w = weights.data();
    for (int i = 0; i < g.kernel_h; ++i) {
      const int row = place.y * g.stride_h - g.pad_h + i * g.dilation_h;
      for (int j = 0; j < g.kernel_w; ++j, w += group_channels_) {
        const int column = place.x * g.stride_w - g.pad_w + j * g.dilation_w;
        if (row < 0 || row >= input_.height || column < 0 || column >= input_.width) continue;
        const float* x = Row(tensors, place.image, row) + int64_t{column} * input_.channels + first_channel;
        for (int c = 0; c < group_channels_; ++c) sum += w[c] * x[c];
      }
    }
    return sum;
  }

  const TensorInfo input_;
  const int tensor_;
  const ConvolutionInfo info_;
  const Int8Kernel& kernel_;
  /// The largest magnitude that the input's integers may have.
  const int most_;
  const int group_channels_;
  const ConvolutionLayout layout_;
  const int group_outputs_, group_blocks_;
  /// As they lie in the file.
  const int8_t* const file_weights_;
  const float* const file_scales_;
  /// The window in units of two values.
  std::vector<int32_t> offsets_, units_;
  int total_units_ = 0;
  AlignedBytes weights_;
  /// Block by block.
  std::vector<float> scales_;
  const Steps steps_;
};

// The largest magnitude of integers with which no sum under these weights leaves 32 bits.
int LargestInteger(const StageInfo& stage, const ConvolutionInfo& info) {
  const int8_t* weights = stage.arrays[0].as<int8_t>();
  int64_t largest = 1;
  for (int output = 0; output < info.outputs; ++output, weights += info.weights) {
    int64_t sum = 0;
    for (int64_t k = 0; k < info.weights; ++k) sum += std::abs(int{weights[k]});
    largest = std::max(largest, sum);
  }
  return static_cast<int>(std::min<int64_t>(INT32_MAX / largest, INT16_MAX));
}

}  // namespace

std::unique_ptr<Stage> MakeInt8Convolution(const Plan& plan, const StageInfo& stage,
                                           const Int8Kernel& kernel) {
  const int most = LargestInteger(stage, ReadConvolution(plan, stage));
  if (most < kLeastSteps) return nullptr;
  return std::make_unique<Int8Convolution>(plan, stage, kernel, most);
}

}  // namespace lowbit
}  // namespace caffe
