#include <algorithm>
#include <vector>

#include "caffe/lowbit/convolution_layout.hpp"
#include "caffe/lowbit/float_kernel.hpp"
#include "caffe/lowbit/float_tiles.hpp"
#include "caffe/lowbit/float_weights.hpp"
#include "caffe/lowbit/result_parts.hpp"
#include "caffe/lowbit/scratch.hpp"
#include "caffe/lowbit/stage.hpp"

namespace caffe {
namespace lowbit {

namespace {

constexpr int kOutputs = FloatTiles::kOutputs, kParts = FloatTiles::kParts, kPixels = FloatTiles::kPixels;

/// A convolution of real numbers that a kernel multiplies in tiles. Images are split once, not window by
/// window.
class FloatTileConvolution : public RowStage {
 public:
  FloatTileConvolution(const Plan& plan, const StageInfo& stage, const FloatKernel& kernel)
      : input_(plan.tensors[stage.inputs[0]]),
        tensor_(stage.inputs[0]),
        info_(ReadConvolution(plan, stage)),
        name_(kernel.name),
        tiles_(*kernel.tiles),
        layout_(input_, info_, input_.channels / info_.groups, sizeof(uint16_t)),
        units_(layout_.window().total_units),
        group_outputs_(info_.outputs / info_.groups),
        group_blocks_((group_outputs_ + kOutputs - 1) / kOutputs),
        group_strips_((group_outputs_ + FloatTiles::kStrip - 1) / FloatTiles::kStrip),
        weights_(TileStripBytes(units_) * group_strips_ * info_.groups),
        steps_(plan, stage) {
    PackWeights(stage);
  }

  size_t RoomBytes(int images) const override { return images * ImageBytes(); }

  const char* Kernel() const override { return name_; }

  int ResultHeight() const override { return info_.result.height; }

  void Prepare(const Tensors& tensors, uint8_t* room, int threads) const override {
    EachRow(tensors.images, layout_.padded_height, threads,
            [&](int image, int row) { SplitRow(tensors, image, row, room); });
    for (int image = 0; image < tensors.images; ++image) {
      uint8_t* const of_rows = PartsOfRows(room, image);
      *PartsOfImage(room, image) = *std::max_element(of_rows, of_rows + layout_.padded_height);
    }
  }

  void RunRows(const Tensors& tensors, uint8_t* room, int64_t begin_row, int64_t end_row,
               int threads) const override {
    const int64_t first_pixel = begin_row * info_.result.width;
    // Parts of pixels are whole pairs of tiles.
    RunParts((end_row - begin_row) * info_.result.width, group_blocks_ * info_.groups, threads,
             [&](int64_t first, int count, int begin, int end) {
               for (int p = 0; p < count; p += kPixels) {
                 RunTile(tensors, room, first_pixel + first + p, std::min(kPixels, count - p), begin, end);
               }
             },
             4 * kPixels);
  }

 private:
  // Of an image: its parts, one after the other; then how many of them its rows need, and all of it.
  size_t PartBytes() const { return Aligned(layout_.image_bytes() + BinaryKernel::kReadAhead); }
  size_t ImageBytes() const { return kParts * PartBytes() + Aligned(layout_.padded_height + 1); }
  uint8_t* Image(uint8_t* room, int image) const { return room + image * ImageBytes(); }
  uint8_t* PartsOfRows(uint8_t* room, int image) const { return Image(room, image) + kParts * PartBytes(); }
  uint8_t* PartsOfImage(uint8_t* room, int image) const {
    return PartsOfRows(room, image) + layout_.padded_height;
  }

  uint8_t* Strip(int output) const {
    const int strip = output / group_outputs_ * group_strips_ + output % group_outputs_ / FloatTiles::kStrip;
    return weights_.data() + strip * TileStripBytes(units_);
  }

  void PackWeights(const StageInfo& stage) {
    std::fill_n(weights_.data(), weights_.size(), uint8_t{0});
    std::vector<float> row(info_.weights);
    for (int output = 0; output < info_.outputs; ++output) {
      ReadFloatWeights(stage, output, info_.weights, row.data());
      PackTileWeights(tiles_, row.data(), units_, output % group_outputs_ % FloatTiles::kStrip,
                      Strip(output));
    }
  }

  void SplitRow(const Tensors& tensors, int image, int padded_row, uint8_t* room) const {
    const int row = padded_row - info_.geometry.pad_h;
    const int64_t border = int64_t{info_.geometry.pad_w} * input_.channels;
    const int64_t inside = int64_t{input_.width} * input_.channels;
    const int64_t stride = PartBytes() / sizeof(uint16_t);
    uint16_t* const out =
        reinterpret_cast<uint16_t*>(Image(room, image)) + padded_row * (inside + 2 * border);
    const bool is_border = row < 0 || row >= input_.height;
    for (int part = 0; part < kParts; ++part) {
      uint16_t* const of_part = out + part * stride;
      std::fill_n(of_part, is_border ? inside + 2 * border : border, uint16_t{0});
      if (!is_border) std::fill_n(of_part + border + inside, border, uint16_t{0});
    }
    int parts = 1;
    if (!is_border) {
      const float* values = tensors.real(tensor_) + (int64_t{image} * input_.height + row) * inside;
      parts = tiles_.split(values, inside, out + border, stride);
    }
    PartsOfRows(room, image)[padded_row] = static_cast<uint8_t>(parts);
  }

  // Collects a group's windows for a tile's pixels; returns how many parts they need.
  int Gather(uint8_t* room, int group, int64_t first, int count, uint8_t* rows) const {
    const uint8_t* windows[kPixels];
    PixelPlace place(info_.result, first);
    int parts = 1;
    for (int p = 0; p < count;) {
      parts = std::max<int>(parts, *PartsOfImage(room, place.image));
      const int in_row = place.InRow(count - p);
      layout_.LocateInRow(Image(room, place.image) + group * layout_.group_bytes, place, in_row, windows + p);
      p += in_row;
      place.Next(in_row);
    }
    tiles_.gather(windows, count, layout_.window(), PartBytes(), parts, rows);
    return parts;
  }

  void RunTile(const Tensors& tensors, uint8_t* room, int64_t first, int count, int begin, int end) const {
    alignas(64) float sums[kPixels * kOutputs];
    uint8_t* const rows = ThreadScratch(GatheredBytes(units_));
    int gathered_group = -1, parts = 0;
    for (int block = begin; block < end; ++block) {
      const int group = block / group_blocks_, output = block % group_blocks_ * kOutputs;
      if (group != gathered_group) parts = Gather(room, group, first, count, rows);
      gathered_group = group;
      const int outputs = std::min(kOutputs, group_outputs_ - output);
      const Part part = {first, count, group * group_outputs_ + output, outputs};
      tiles_.sums(rows, count, units_, parts, Strip(part.channel),
                  (outputs + FloatTiles::kStrip - 1) / FloatTiles::kStrip, sums);
      steps_.Run(tensors, part, {sums, kOutputs});
    }
  }

  const TensorInfo input_;
  const int tensor_;
  const ConvolutionInfo info_;
  const char* const name_;
  const FloatTiles& tiles_;
  const ConvolutionLayout layout_;
  /// Weights of an output.
  const int units_;
  const int group_outputs_, group_blocks_, group_strips_;
  const AlignedBytes weights_;
  const Steps steps_;
};

}  // namespace

std::unique_ptr<Stage> MakeFloatTileConvolution(const Plan& plan, const StageInfo& stage,
                                                const FloatKernel& kernel) {
  return std::make_unique<FloatTileConvolution>(plan, stage, kernel);
}

}  // namespace lowbit
}  // namespace caffe
