#include <algorithm>
#include <cstring>

#include "caffe/lowbit/binary_kernel.hpp"
#include "caffe/lowbit/bit_bytes.hpp"
#include "caffe/lowbit/convolution_layout.hpp"
#include "caffe/lowbit/digits.hpp"
#include "caffe/lowbit/result_parts.hpp"
#include "caffe/lowbit/scratch.hpp"
#include "caffe/lowbit/stage.hpp"
#include "caffe/lowbit/thread_pool.hpp"
#include "caffe/util/target_clones.hpp"

namespace caffe {
namespace lowbit {

namespace {

constexpr int kOutputs = BinaryKernel::kOutputs;
// Most pixels of a part, and of a kernel's call.
constexpr int kMostPixels = 2 * kPartPixels;

// Of digits where a kernel's sums need nothing to be known of them.
constexpr int32_t kNoDigitSums[kMostPixels] = {};

// With S the sum of digits under weights of +1 and D that of all digits, 2 S - D is the sum under the
// weights, which a kernel with signs gives by itself (factor 1, D = 0); a plane adds it to v, times the
// plane's multiplier.
template <typename Sum>
inline void AddPlane(const Sum* sums, int factor, const int32_t* digit_sums, int pixels, int32_t multiplier,
                     const int32_t* constants, bool first, int32_t* values) {
  for (int p = 0; p < pixels; ++p) {
    const Sum* s = sums + p * kOutputs;
    int32_t* v = values + p * kOutputs;
    const int32_t all = digit_sums[p];
    if (first) {
      for (int o = 0; o < kOutputs; ++o) {
        v[o] = static_cast<int32_t>(multiplier * (factor * s[o] - all) - constants[o]);
      }
    } else {
      for (int o = 0; o < kOutputs; ++o)
        v[o] = static_cast<int32_t>(v[o] + multiplier * (factor * s[o] - all));
    }
  }
}

CAFFE_TARGET_CLONES void Plane32(const uint16_t* sums, int factor, const int32_t* digit_sums, int pixels,
                                 int32_t multiplier, const int32_t* constants, bool first, int32_t* values) {
  AddPlane(sums, factor, digit_sums, pixels, multiplier, constants, first, values);
}

CAFFE_TARGET_CLONES void Plane32(const uint32_t* sums, int factor, const int32_t* digit_sums, int pixels,
                                 int32_t multiplier, const int32_t* constants, bool first, int32_t* values) {
  AddPlane(sums, factor, digit_sums, pixels, multiplier, constants, first, values);
}

// Adds every `step`-th of the sums to a total.
CAFFE_TARGET_CLONES void AddEach(const int32_t* sums, int step, int count, int32_t* totals) {
  if (step == 1) {
    for (int i = 0; i < count; ++i) totals[i] += sums[i];
  } else {
    for (int i = 0; i < count; ++i) totals[i] += sums[static_cast<int64_t>(i) * step];
  }
}

class BinaryConvolution : public Stage {
 public:
  BinaryConvolution(const Plan& plan, const StageInfo& stage, const BinaryKernel& kernel, int threads)
      : input_(plan.tensors[stage.inputs[0]]),
        tensor_(stage.inputs[0]),
        info_(ReadConvolution(plan, stage)),
        kernel_(kernel),
        tile_(std::min(kernel.pixels, kMostPixels)),
        group_channels_(input_.channels / info_.groups),
        units_((group_channels_ + ChannelsOfUnit(kernel.packing) - 1) / ChannelsOfUnit(kernel.packing)),
        layout_(input_, info_, units_, BytesOfUnit(kernel.packing)),
        levels_(static_cast<int>(stage.arrays[1].count)),
        planes_(DecomposeLevels(stage.arrays[1].as<int32_t>(), levels_, LargestDigit(kernel.packing))),
        group_outputs_(info_.outputs / info_.groups),
        group_blocks_((group_outputs_ + kOutputs - 1) / kOutputs),
        block_bytes_(Aligned(kernel.weight_bytes(layout_.window()))),
        weights_(block_bytes_ * group_blocks_ * info_.groups),
        constants32_(static_cast<size_t>(group_blocks_) * info_.groups * kOutputs),
        steps_(plan, stage) {
    for (const DigitPlane& plane : planes_) {
      identity_.push_back(plane.IsIdentity(levels_));
      padding_.push_back(PackPadding(plane));
      largest_digit_ = std::max<int>(largest_digit_,
                                     *std::max_element(plane.digits.begin(), plane.digits.begin() + levels_));
    }
    const int64_t digits = info_.weights * largest_digit_;
    values16_ = kernel.sums16 && planes_.size() == 1 && planes_[0].multiplier == 1 && digits <= 32766;
    sums16_ = values16_ || (kernel.sums16 && !kernel.signed_sums && (!kernel.sums32 || digits <= 65535));
    PackWeights(stage.arrays[0].bytes, threads);
    if (values16_) constants16_.assign(constants32_.begin(), constants32_.end());
  }

  size_t RoomBytes(int images) const override {
    return planes_.size() * images * (PlaneBytes() + SumsBytes());
  }

  const char* Kernel() const override { return kernel_.name; }

  void Run(const Tensors& tensors, uint8_t* room, int threads) const override {
    EachRow(tensors.images, layout_.padded_height, threads,
            [&](int image, int row) { PackRow(tensors, image, row, room); });
    const int64_t pixels = tensors.images * int64_t{info_.result.height} * info_.result.width;
    // Smaller parts are shared among threads more evenly.
    const int part_pixels = threads > 1 ? kPartPixels : std::max(tile_, kPartPixels);
    RunParts(
        pixels, group_blocks_ * info_.groups, threads,
        [&](int64_t first, int count, int begin, int end) {
          RunBlocks(tensors, room, first, count, begin, end);
        },
        part_pixels);
  }

 private:
  // Of an image and a plane: its packed digits, and the sums of each pixel's and group's digits.
  size_t PlaneBytes() const { return Aligned(layout_.image_bytes() + BinaryKernel::kReadAhead); }
  size_t SumsBytes() const {
    if (kernel_.signed_sums) return 0;
    return Aligned(sizeof(int32_t) * info_.groups * layout_.padded_height * layout_.padded_width);
  }
  uint8_t* Digits(uint8_t* room, int image, size_t plane) const {
    return room + (image * planes_.size() + plane) * (PlaneBytes() + SumsBytes());
  }
  // Null where nobody asks for them.
  int32_t* DigitSums(uint8_t* room, int image, size_t plane) const {
    if (kernel_.signed_sums) return nullptr;
    return reinterpret_cast<int32_t*>(Digits(room, image, plane) + PlaneBytes());
  }

  void PackWeights(const uint8_t* bits, int threads) {
    const int blocks = group_blocks_ * info_.groups, tasks = std::min(blocks, 4 * threads);
    ThreadPool::Shared().Run(threads, tasks, [&](int64_t task) {
      const int begin = static_cast<int>(blocks * task / tasks);
      const int end = static_cast<int>(blocks * (task + 1) / tasks);
      PackBlocks(bits, begin, end);
    });
  }

  // One row of bits for each output of a block, in the window's order with padded channels, for the kernel.
  void PackBlocks(const uint8_t* bits, int begin, int end) {
    const Window window = layout_.window();
    const int unit_channels = ChannelsOfUnit(kernel_.packing);
    const int64_t packed_channels = int64_t{window.total_units} * unit_channels;
    const int64_t row_bytes = (info_.weights + 7) / 8;
    std::vector<uint8_t> rows(kOutputs * packed_channels);
    for (int block = begin; block < end; ++block) {
      const int group = block / group_blocks_, first = block % group_blocks_ * kOutputs;
      const int outputs = std::min(kOutputs, group_outputs_ - first);
      for (int o = 0; o < outputs; ++o) {
        const int output = group * group_outputs_ + first + o;
        const int64_t ones = SpreadRow(bits + output * row_bytes, rows.data() + o * packed_channels);
        int64_t constant = 0;
        for (const DigitPlane& plane : planes_) {
          constant += int64_t{plane.multiplier} * plane.padding * (2 * ones - info_.weights);
        }
        constants32_[static_cast<size_t>(block) * kOutputs + o] = static_cast<int32_t>(constant);
      }
      std::fill(rows.begin() + outputs * packed_channels, rows.end(), 0);
      kernel_.pack_weights(rows.data(), window, weights_.data() + block * block_bytes_);
    }
  }

  // An output's bits, one a byte, with each tap's channels padded to whole units; returns how many are set.
  int64_t SpreadRow(const uint8_t* bits, uint8_t* row) const {
    const int padded = units_ * ChannelsOfUnit(kernel_.packing);
    const int eights = group_channels_ % 8 == 0 ? group_channels_ / 8 : 0;
    int64_t ones = 0, bit = 0;
    for (; bit < info_.weights; row += padded) {
      for (int eight = 0; eight < eights; ++eight, bit += 8) {
        const uint64_t bytes = SpreadBits(bits[bit / 8]);
        std::memcpy(row + 8 * eight, &bytes, sizeof(bytes));
        ones += SumOfBytes(bytes);
      }
      for (int c = 8 * eights; c < group_channels_; ++c, ++bit) {
        row[c] = bits[bit / 8] >> bit % 8 & 1;
        ones += row[c];
      }
    }
    return ones;
  }

  // Whether windows reach a position along an axis: strides may be longer than they are. True in doubt.
  static bool IsInAWindow(int position, int kernel, int stride, int dilation) {
    return position % stride <= (kernel - 1) * dilation;
  }

  void PackRow(const Tensors& tensors, int image, int padded_row, uint8_t* room) const {
    const Geometry& g = info_.geometry;
    if (!IsInAWindow(padded_row, g.kernel_h, g.stride_h, g.dilation_h)) return;
    const int row = padded_row - g.pad_h, width = layout_.padded_width;
    const bool inside = row >= 0 && row < input_.height;
    const int begin = inside ? g.pad_w : width, end = begin + input_.width;
    const uint8_t* const codes =
        tensors.codes(tensor_) +
        (int64_t{image} * input_.height + (inside ? row : 0)) * input_.width * input_.channels;
    for (size_t p = 0; p < planes_.size(); ++p) {
      uint8_t* const packed = Digits(room, image, p) + padded_row * width * layout_.pixel_bytes;
      int32_t* const all_sums = DigitSums(room, image, p);
      int32_t* const sums = all_sums ? all_sums + int64_t{padded_row} * width * info_.groups : nullptr;
      PadPixels(p, 0, begin, packed, sums);
      if (!inside) continue;
      const bool all_are_in_windows = IsInAWindow(g.stride_w - 1, g.kernel_w, g.stride_w, g.dilation_w);
      if (all_are_in_windows) {
        PackPixels(p, codes, begin, input_.width, packed, sums);
      } else {
        for (int column = begin; column < end; ++column) {
          if (!IsInAWindow(column, g.kernel_w, g.stride_w, g.dilation_w)) continue;
          PackPixels(p, codes + (column - begin) * input_.channels, column, 1, packed, sums);
        }
      }
      PadPixels(p, end, width, packed, sums);
    }
  }

  // Of a padded row, whose digits and sums begin there: `count` pixels from a column on, and those of the
  // columns [begin, end) that are outside the image.
  void PackPixels(size_t plane, const uint8_t* codes, int column, int count, uint8_t* packed,
                  int32_t* sums) const {
    for (int group = 0; group < info_.groups; ++group) {
      const PixelRow row = {codes + group * group_channels_,
                            input_.channels,
                            packed + column * layout_.pixel_bytes + group * layout_.group_bytes,
                            layout_.pixel_bytes,
                            sums ? sums + column * info_.groups + group : nullptr,
                            info_.groups,
                            count};
      PackDigits(kernel_.packing, row, group_channels_, planes_[plane], identity_[plane]);
    }
  }

  void PadPixels(size_t plane, int begin, int end, uint8_t* packed, int32_t* sums) const {
    const Padding& padding = padding_[plane];
    for (int column = begin; column < end; ++column) {
      for (int group = 0; group < info_.groups; ++group) {
        std::memcpy(packed + column * layout_.pixel_bytes + group * layout_.group_bytes,
                    padding.packed.data(), layout_.group_bytes);
        if (sums) sums[column * info_.groups + group] = padding.digit_sum;
      }
    }
  }

  // A group of a pixel outside the image.
  struct Padding {
    std::vector<uint8_t> packed;
    int32_t digit_sum;
  };

  Padding PackPadding(const DigitPlane& plane) const {
    DigitPlane all_padding = plane;
    all_padding.digits.fill(plane.padding);
    // Any codes: their digits are all the same.
    const std::vector<uint8_t> codes(group_channels_, 0);
    Padding padding = {std::vector<uint8_t>(layout_.group_bytes), 0};
    const PixelRow pixel = {codes.data(), 0, padding.packed.data(), 0, &padding.digit_sum, 0, 1};
    PackDigits(kernel_.packing, pixel, group_channels_, all_padding, false);
    return padding;
  }

  // Where the windows of a part's pixels begin in a plane, and the sums of their digits.
  struct Pixels {
    const uint8_t* windows[kMostPixels];
    int32_t digit_sums[kMostPixels];
  };

  void Locate(uint8_t* room, size_t plane, int group, int64_t first, int count, Pixels* pixels) const {
    PixelPlace place(info_.result, first);
    for (int begin = 0; begin < count;) {
      const int in_row = place.InRow(count - begin);
      layout_.LocateInRow(Digits(room, place.image, plane) + group * layout_.group_bytes, place, in_row,
                          pixels->windows + begin);
      if (const int32_t* const sums = DigitSums(room, place.image, plane)) {
        SumWindows(sums + group, place.y, place.x, in_row, pixels->digit_sums + begin);
      }
      begin += in_row;
      place.Next(in_row);
    }
  }

  // Of `count` windows that follow one another in a row.
  void SumWindows(const int32_t* sums, int y, int x, int count, int32_t* totals) const {
    const Geometry& g = info_.geometry;
    const int64_t row_step = int64_t{layout_.padded_width} * info_.groups;
    std::fill_n(totals, count, 0);
    for (int row = 0; row < g.kernel_h; ++row) {
      const int32_t* const of_row = sums + (y * g.stride_h + row * g.dilation_h) * row_step;
      for (int column = 0; column < g.kernel_w; ++column) {
        AddEach(of_row + (x * g.stride_w + column * g.dilation_w) * int64_t{info_.groups},
                g.stride_w * info_.groups, count, totals);
      }
    }
  }

  void RunBlocks(const Tensors& tensors, uint8_t* room, int64_t first, int count, int begin, int end) const {
    Pixels pixels[kMaxLevels];
    int located_group = -1;
    for (int block = begin; block < end; ++block) {
      const int group = block / group_blocks_;
      if (group != located_group) {
        for (size_t plane = 0; plane < planes_.size(); ++plane) {
          Locate(room, plane, group, first, count, &pixels[plane]);
        }
        located_group = group;
      }
      for (int p = 0; p < count; p += tile_) {
        RunTile(tensors, pixels, p, first + p, std::min(tile_, count - p), block);
      }
    }
  }

  void RunTile(const Tensors& tensors, const Pixels* pixels, int offset, int64_t first, int count,
               int block) const {
    alignas(64) uint32_t sums[kMostPixels * kOutputs];
    alignas(64) int32_t values[kMostPixels * kOutputs];
    alignas(64) float real[kMostPixels * kOutputs];
    const int output = block % group_blocks_ * kOutputs;
    const Part part = {first, count, block / group_blocks_ * group_outputs_ + output,
                       std::min(kOutputs, group_outputs_ - output)};
    const Window window = layout_.window();
    const uint8_t* weights = weights_.data() + block * block_bytes_;
    const size_t constants = static_cast<size_t>(block) * kOutputs;
    uint8_t* scratch =
        kernel_.scratch_bytes ? ThreadScratch(kernel_.scratch_bytes(window.total_units)) : nullptr;
    uint16_t* const sums16 = reinterpret_cast<uint16_t*>(sums);
    const int factor = kernel_.signed_sums ? 1 : 2;
    for (size_t plane = 0; plane < planes_.size(); ++plane) {
      const uint8_t* const* windows = pixels[plane].windows + offset;
      const int32_t* digit_sums = kernel_.signed_sums ? kNoDigitSums : pixels[plane].digit_sums + offset;
      if (sums16_) {
        kernel_.sums16(windows, count, window, weights, scratch, sums16);
      } else {
        kernel_.sums32(windows, count, window, weights, scratch, sums);
      }
      if (values16_) {
        const Sums16 values16 = {reinterpret_cast<const int16_t*>(sums16), factor, digit_sums,
                                 constants16_.data() + constants};
        return steps_.Run(tensors, part, values16, {real, kOutputs});
      }
      const int32_t multiplier = planes_[plane].multiplier;
      const int32_t* const constants32 = constants32_.data() + constants;
      if (sums16_) {
        Plane32(sums16, factor, digit_sums, count, multiplier, constants32, plane == 0, values);
      } else {
        Plane32(sums, factor, digit_sums, count, multiplier, constants32, plane == 0, values);
      }
    }
    steps_.Run(tensors, part, Tile<const int32_t>{values, kOutputs}, {real, kOutputs});
  }

  const TensorInfo input_;
  const int tensor_;
  const ConvolutionInfo info_;
  const BinaryKernel& kernel_;
  /// Pixels whose sums are made at a time.
  const int tile_;
  const int group_channels_;
  const int units_;
  const ConvolutionLayout layout_;
  const int levels_;
  const std::vector<DigitPlane> planes_;
  std::vector<bool> identity_;
  std::vector<Padding> padding_;
  int largest_digit_ = 0;
  const int group_outputs_, group_blocks_;
  const size_t block_bytes_;
  const AlignedBytes weights_;
  /// What padding's digits add for each output, block by block.
  std::vector<int32_t> constants32_;
  std::vector<int16_t> constants16_;
  /// Whether the kernel's sums, and the values made of them, fit into 16 bits.
  bool sums16_, values16_;
  const Steps steps_;
};

PixelOrder OrderOfPixels(const ConvolutionInfo& info) {
  const Geometry& g = info.geometry;
  if (info.result.height * info.result.width == 1) return PixelOrder::kOne;
  const bool beside = (g.kernel_w == 3 || g.kernel_w == 5) && g.stride_w == g.dilation_w;
  return beside && info.result.width > 2 ? PixelOrder::kBeside : PixelOrder::kAny;
}

}  // namespace

std::unique_ptr<Stage> MakeBinaryConvolution(const Plan& plan, const StageInfo& stage, int threads) {
  const PixelOrder order = OrderOfPixels(ReadConvolution(plan, stage));
  return MakeBinaryConvolution(plan, stage, ChooseBinaryKernel(order), threads);
}

std::unique_ptr<Stage> MakeBinaryConvolution(const Plan& plan, const StageInfo& stage,
                                             const BinaryKernel& kernel, int threads) {
  return std::make_unique<BinaryConvolution>(plan, stage, kernel, threads);
}

}  // namespace lowbit
}  // namespace caffe
