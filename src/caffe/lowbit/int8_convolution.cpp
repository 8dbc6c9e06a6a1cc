#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "caffe/lowbit/convolution_layout.hpp"
#include "caffe/lowbit/int8_kernel.hpp"
#include "caffe/lowbit/integer_form.hpp"
#include "caffe/lowbit/integer_rows.hpp"
#include "caffe/lowbit/result_parts.hpp"
#include "caffe/lowbit/scratch.hpp"
#include "caffe/lowbit/stage.hpp"

namespace caffe {
namespace lowbit {

namespace {

constexpr int kOutputs = Int8Kernel::kOutputs;
// Most pixels of a kernel's call.
constexpr int kMostPixels = 32;
// Sums that leave the input fewer steps than this from 0 to the largest magnitude are left to floats.
constexpr int kLeastSteps = 4095;

float FromBits(int32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// The least power of two that, `most` times, is not less than a magnitude above 0.
float LeastUnit(float magnitude, int most) {
  // A smaller one, or what is made of it, might be no normal float.
  return std::ldexp(1.f, -std::min(std::ilogb(most / double{magnitude}), 120));
}

/**
 * @brief A convolution of real numbers whose weights are 8-bit integers times a scale an output.
 *
 * Each image becomes integers times a power of two, its unit. Where all of its values are integers of at most
 * 255 units above the least of their channel (which is 0 or less), as an image's pixels are with and without
 * a mean of integers, that is what is kept of them, as bytes, and sums begin with what the rest gives. Other
 * images become integers of 16 bits, and the unit is the least with which sums surely fit into 32 bits:
 * values are rounded by at most the largest magnitude divided by a bound, which is 2^15 - 1 for windows of up
 * to 516 weights. Sums of integers are exact, so that images of bytes give the same either way. An image with
 * a value that is not finite is summed in floats.
 */
class Int8Convolution : public RowStage {
 public:
  Int8Convolution(const Plan& plan, const StageInfo& stage, const Int8Kernel& kernel, int most)
      : input_(plan.tensors[stage.inputs[0]]),
        tensor_(stage.inputs[0]),
        info_(ReadConvolution(plan, stage)),
        kernel_(kernel),
        tile_(std::min(kernel.pixels, kMostPixels)),
        most_(most),
        group_channels_(input_.channels / info_.groups),
        group_outputs_(info_.outputs / info_.groups),
        group_blocks_((group_outputs_ + kOutputs - 1) / kOutputs),
        file_weights_(stage.arrays[0].as<int8_t>()),
        file_scales_(stage.arrays[1].as<float>()),
        words_(input_, info_, sizeof(int16_t), kernel.words, file_weights_),
        scales_(Lanes()),
        steps_(plan, stage) {
    for (int output = 0; output < info_.outputs; ++output) scales_[Lane(output)] = file_scales_[output];
    // The weights of one pixel are read once, and what counts is how many they are.
    const bool one_pixel = info_.result.height == 1 && info_.result.width == 1;
    if (!kernel.bytes.run || input_.channels > kMostByteChannels || one_pixel) return;
    bytes_ = std::make_unique<IntegerForm>(input_, info_, 1, kernel.bytes, file_weights_);
    SumChannels();
  }

  size_t RoomBytes(int images) const override { return images * ImageBytes(); }

  const char* Kernel() const override { return kernel_.name; }

  int ResultHeight() const override { return info_.result.height; }

  void Prepare(const Tensors& tensors, uint8_t* room, int threads) const override {
    EachRow(tensors.images, input_.height, threads,
            [&](int image, int row) { Measure(Row(tensors, image, row), Of(room, image).rows + row); });
    for (int image = 0; image < tensors.images; ++image) Choose(Of(room, image));
    Convert(tensors, room, threads);
    bool again = false;
    for (int image = 0; image < tensors.images; ++image) {
      const Image of = Of(room, image);
      of.info->waits = of.info->bytes && !AreIntegers(of);
      if (of.info->waits) ChooseWords(of.info);
      if (of.info->bytes) WriteStarts(of);
      again = again || of.info->waits;
    }
    if (again) Convert(tensors, room, threads);
  }

  void RunRows(const Tensors& tensors, uint8_t* room, int64_t begin_row, int64_t end_row,
               int threads) const override {
    const int64_t first_pixel = begin_row * info_.result.width;
    RunParts((end_row - begin_row) * info_.result.width, group_blocks_ * info_.groups, threads,
             [&](int64_t first, int count, int begin, int end) {
               for (int p = 0; p < count;) {
                 p += RunTile(tensors, room, first_pixel + first + p, std::min(tile_, count - p), begin, end);
               }
             });
  }

 private:
  struct RowInfo {
    /// Of the largest magnitude.
    int32_t bits;
    bool integers;
    /// Of each channel, 0 counted in.
    float least[kMostByteChannels], most[kMostByteChannels];
  };
  struct ImageInfo {
    float largest;
    /// A NaN where the image is not finite.
    float unit;
    bool bytes;
    /// To be converted.
    bool waits;
    /// Of each channel, in units.
    int32_t least[kMostByteChannels];
  };
  /// What the room holds of an image.
  struct Image {
    uint8_t* integers;
    RowInfo* rows;
    ImageInfo* info;
    /// What sums of bytes begin with.
    int32_t* starts;
  };

  // Outputs of all blocks, whole ones, and the place of one that there is.
  size_t Lanes() const { return size_t{kOutputs} * group_blocks_ * info_.groups; }
  size_t Lane(int output) const {
    return static_cast<size_t>(output / group_outputs_) * group_blocks_ * kOutputs + output % group_outputs_;
  }

  size_t IntegerBytes() const { return Aligned(words_.ImageBytes()); }
  size_t RowsBytes() const { return Aligned(sizeof(RowInfo) * input_.height); }
  size_t ImageBytes() const {
    return IntegerBytes() + RowsBytes() + Aligned(sizeof(ImageInfo)) + Aligned(sizeof(int32_t) * Lanes());
  }
  Image Of(uint8_t* room, int image) const {
    uint8_t* const integers = room + image * ImageBytes();
    uint8_t* const rows = integers + IntegerBytes();
    uint8_t* const info = rows + RowsBytes();
    return {integers, reinterpret_cast<RowInfo*>(rows), reinterpret_cast<ImageInfo*>(info),
            reinterpret_cast<int32_t*>(info + Aligned(sizeof(ImageInfo)))};
  }

  int64_t RowElements() const { return int64_t{input_.width} * input_.channels; }
  const float* Row(const Tensors& tensors, int image, int row) const {
    return tensors.real(tensor_) + (int64_t{image} * input_.height + row) * RowElements();
  }

  void Measure(const float* values, RowInfo* row) const {
    row->bits = LargestBits(values, RowElements());
    if (bytes_) FindRanges(values, input_.width, input_.channels, row->least, row->most);
  }

  void Choose(const Image& of) const {
    int32_t bits = 0;
    for (int row = 0; row < input_.height; ++row) bits = std::max(bits, of.rows[row].bits);
    of.info->largest = FromBits(bits);
    of.info->waits = true;
    if (bytes_ && bits != 0 && std::isfinite(of.info->largest)) {
      ChooseBytes(of);
    } else {
      ChooseWords(of.info);
    }
  }

  void ChooseWords(ImageInfo* image) const {
    image->bytes = false;
    if (!std::isfinite(image->largest)) {
      image->unit = std::numeric_limits<float>::quiet_NaN();
    } else {
      image->unit = image->largest > 0 ? LeastUnit(image->largest, most_) : 1;
    }
  }

  // Whether the values are integers is seen when they are converted.
  void ChooseBytes(const Image& of) const {
    float least[kMostByteChannels], range = 0;
    for (int c = 0; c < input_.channels; ++c) {
      float most = 0;
      least[c] = 0;
      for (const RowInfo* row = of.rows; row < of.rows + input_.height; ++row) {
        least[c] = std::min(least[c], row->least[c]);
        most = std::max(most, row->most[c]);
      }
      range = std::max(range, most - least[c]);
    }
    of.info->bytes = true;
    of.info->unit = LeastUnit(range, UINT8_MAX);
    for (int c = 0; c < input_.channels; ++c) {
      of.info->least[c] = static_cast<int32_t>(std::nearbyint(least[c] / of.info->unit));
    }
  }

  bool AreIntegers(const Image& of) const {
    return std::all_of(of.rows, of.rows + input_.height, [](const RowInfo& row) { return row.integers; });
  }

  void Convert(const Tensors& tensors, uint8_t* room, int threads) const {
    EachRow(tensors.images, words_.layout.padded_height, threads, [&](int image, int padded_row) {
      const Image of = Of(room, image);
      if (!of.info->waits) return;
      const int row = padded_row - info_.geometry.pad_h;
      const bool inside = row >= 0 && row < input_.height;
      const float* const values = inside ? Row(tensors, image, row) : nullptr;
      if (of.info->bytes) {
        ConvertToBytes(values, of, padded_row, inside ? of.rows + row : nullptr);
      } else {
        ConvertToWords(values, of, padded_row);
      }
    });
  }

  // Null for rows of the padding.
  void ConvertToWords(const float* values, const Image& of, int padded_row) const {
    const int64_t border = int64_t{info_.geometry.pad_w} * input_.channels, all = RowElements() + 2 * border;
    int16_t* const out = reinterpret_cast<int16_t*>(of.integers) + padded_row * all;
    if (!values || !std::isfinite(of.info->unit)) {
      std::fill_n(out, all, int16_t{0});
      return;
    }
    std::fill_n(out, border, int16_t{0});
    ToWords(values, RowElements(), 1 / of.info->unit, out + border);
    std::fill_n(out + border + RowElements(), border, int16_t{0});
  }

  void ConvertToBytes(const float* values, const Image& of, int padded_row, RowInfo* row) const {
    const int channels = input_.channels, border = info_.geometry.pad_w;
    const ImageInfo& info = *of.info;
    const auto pad = [&](uint8_t* out, int pixels) {
      for (int i = 0; i < pixels; ++i) {
        for (int c = 0; c < channels; ++c) *out++ = static_cast<uint8_t>(-info.least[c]);
      }
    };
    uint8_t* const out = of.integers + padded_row * (RowElements() + int64_t{2} * border * channels);
    if (!values) return pad(out, input_.width + 2 * border);
    uint8_t* const first = out + int64_t{border} * channels;
    pad(out, border);
    row->integers = ToBytes(values, input_.width, channels, 1 / info.unit, info.least, first);
    pad(first + RowElements(), border);
  }

  // Of each output's weights, by channel.
  void SumChannels() {
    channel_sums_.assign(static_cast<size_t>(info_.outputs) * group_channels_, 0);
    for (int output = 0; output < info_.outputs; ++output) {
      for (int64_t k = 0; k < info_.weights; ++k) {
        channel_sums_[output * group_channels_ + k % group_channels_] +=
            file_weights_[output * info_.weights + k];
      }
    }
  }

  void WriteStarts(const Image& of) const {
    std::fill_n(of.starts, Lanes(), 0);
    for (int output = 0; output < info_.outputs; ++output) {
      const int32_t* const least = of.info->least + output / group_outputs_ * group_channels_;
      for (int c = 0; c < group_channels_; ++c) {
        of.starts[Lane(output)] += least[c] * channel_sums_[output * group_channels_ + c];
      }
    }
  }

  // Returns how many pixels it has taken: those whose images are of one form.
  int RunTile(const Tensors& tensors, uint8_t* room, int64_t first, int count, int begin, int end) const {
    alignas(64) float room_for_sums[kMostPixels * kOutputs];
    const uint8_t* windows[kMostPixels];
    const int32_t* starts[kMostPixels];
    float units[kMostPixels];
    PixelPlace place(info_.result, first);
    const bool bytes = Of(room, place.image).info->bytes;
    const IntegerForm& form = bytes ? *bytes_ : words_;
    bool finite = true;
    for (int p = 0; p < count;) {
      const Image of = Of(room, place.image);
      if (of.info->bytes != bytes) {
        count = p;
        break;
      }
      finite = finite && std::isfinite(of.info->unit);
      const int in_row = place.InRow(count - p);
      form.layout.LocateInRow(of.integers, place, in_row, windows + p);
      std::fill_n(starts + p, in_row, bytes ? of.starts : kNoStarts);
      std::fill_n(units + p, in_row, of.info->unit);
      p += in_row;
      place.Next(in_row);
    }
    for (int block = begin; block < end; ++block) {
      const int group = block / group_blocks_, output = block % group_blocks_ * kOutputs;
      const uint8_t* of_group[kMostPixels];
      const int32_t* of_block[kMostPixels];
      for (int p = 0; p < count; ++p) {
        of_group[p] = windows[p] + int64_t{group} * form.layout.group_bytes;
        of_block[p] = bytes ? starts[p] + int64_t{block} * kOutputs : starts[p];
      }
      const Part part = {first, count, group * group_outputs_ + output,
                         std::min(kOutputs, group_outputs_ - output)};
      float* const place = steps_.PlaceOf(tensors, part, kOutputs);
      float* const sums = place ? place : room_for_sums;
      form.Sum(of_group, count, block, of_block, units, scales_.data() + int64_t{block} * kOutputs, sums);
      if (!finite) SumInFloats(tensors, part, units, sums);
      if (!place) steps_.Run(tensors, part, {sums, kOutputs});
    }
    return count;
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

  static constexpr int32_t kNoStarts[kOutputs] = {};

  const TensorInfo input_;
  const int tensor_;
  const ConvolutionInfo info_;
  const Int8Kernel& kernel_;
  /// Pixels whose sums are made at a time.
  const int tile_;
  /// The largest magnitude that the input's words may have.
  const int most_;
  const int group_channels_, group_outputs_, group_blocks_;
  /// As they lie in the file.
  const int8_t* const file_weights_;
  const float* const file_scales_;
  const IntegerForm words_;
  /// Null where no image is taken as bytes.
  std::unique_ptr<const IntegerForm> bytes_;
  std::vector<int32_t> channel_sums_;
  /// Of each lane.
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
