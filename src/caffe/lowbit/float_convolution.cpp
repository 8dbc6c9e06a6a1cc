#include <algorithm>
#include <cstring>

#include "caffe/lowbit/convolution_layout.hpp"
#include "caffe/lowbit/float_kernel.hpp"
#include "caffe/lowbit/float_strips.hpp"
#include "caffe/lowbit/float_weights.hpp"
#include "caffe/lowbit/int8_kernel.hpp"
#include "caffe/lowbit/result_parts.hpp"
#include "caffe/lowbit/scratch.hpp"
#include "caffe/lowbit/stage.hpp"

namespace caffe {
namespace lowbit {

namespace {

constexpr int kOutputs = FloatKernel::kOutputs;
// A multiple of what kernels take at a time; tiles stay in the first cache.
constexpr int kTilePixels = 24;
// Fewer pixels, or weights, leave tiles mostly empty.
constexpr int kLeastPixelsForTiles = 16, kLeastWeightsForTiles = 32;

class FloatConvolution : public RowStage {
 public:
  FloatConvolution(const Plan& plan, const StageInfo& stage, const FloatKernel& kernel)
      : input_(plan.tensors[stage.inputs[0]]),
        tensor_(stage.inputs[0]),
        info_(ReadConvolution(plan, stage)),
        kernel_(kernel),
        layout_(input_, info_, input_.channels / info_.groups, sizeof(float)),
        group_outputs_(info_.outputs / info_.groups),
        weights_(kernel, info_.groups, group_outputs_, info_.weights),
        steps_(plan, stage) {
    PackWeights(stage);
  }

  size_t RoomBytes(int images) const override { return padded() ? images * layout_.image_bytes() : 0; }

  const char* Kernel() const override { return kernel_.name; }

  int ResultHeight() const override { return info_.result.height; }

  void Prepare(const Tensors& tensors, uint8_t* room, int threads) const override {
    if (padded()) {
      EachRow(tensors.images, layout_.padded_height, threads,
              [&](int image, int row) { PadRow(tensors, image, row, room); });
    }
  }

  void RunRows(const Tensors& tensors, uint8_t* room, int64_t begin_row, int64_t end_row,
               int threads) const override {
    const uint8_t* images = padded() ? room : tensors.codes(tensor_);
    const int64_t first_pixel = begin_row * info_.result.width;
    RunParts((end_row - begin_row) * info_.result.width, weights_.blocks() * info_.groups, threads,
             [&](int64_t first, int count, int begin, int end) {
               for (int p = 0; p < count; p += kTilePixels) {
                 RunTile(tensors, images, first_pixel + first + p, std::min(kTilePixels, count - p), begin,
                         end);
               }
             });
  }

 private:
  bool padded() const { return info_.geometry.pad_h > 0 || info_.geometry.pad_w > 0; }

  void PackWeights(const StageInfo& stage) {
    std::vector<float> row(info_.weights);
    for (int output = 0; output < info_.outputs; ++output) {
      ReadFloatWeights(stage, output, info_.weights, row.data());
      weights_.Pack(output / group_outputs_, output % group_outputs_, row.data());
    }
  }

  void PadRow(const Tensors& tensors, int image, int padded_row, uint8_t* room) const {
    const int row = padded_row - info_.geometry.pad_h;
    const int64_t channels = input_.channels;
    float* out = reinterpret_cast<float*>(room + image * layout_.image_bytes()) +
                 padded_row * layout_.padded_width * channels;
    if (row < 0 || row >= input_.height) {
      std::fill_n(out, layout_.padded_width * channels, 0.f);
      return;
    }
    const int64_t border = info_.geometry.pad_w * channels, inside = input_.width * channels;
    std::fill_n(out, border, 0.f);
    std::copy_n(tensors.real(tensor_) + (int64_t{image} * input_.height + row) * inside, inside,
                out + border);
    std::fill_n(out + border + inside, border, 0.f);
  }

  void RunTile(const Tensors& tensors, const uint8_t* images, int64_t first, int count, int begin,
               int end) const {
    alignas(64) float room[kTilePixels * kOutputs];
    const uint8_t* windows[kTilePixels];
    PixelPlace pixel(info_.result, first);
    for (int p = 0; p < count;) {
      const int in_row = pixel.InRow(count - p);
      layout_.LocateInRow(images + pixel.image * layout_.image_bytes(), pixel, in_row, windows + p);
      p += in_row;
      pixel.Next(in_row);
    }
    for (int block = begin; block < end; ++block) {
      const int group = block / weights_.blocks(), in_group = block % weights_.blocks();
      const float* of_group[kTilePixels];
      for (int p = 0; p < count; ++p) {
        of_group[p] = reinterpret_cast<const float*>(windows[p] + int64_t{group} * layout_.group_bytes);
      }
      const Part part = {first, count, group * group_outputs_ + in_group * kOutputs,
                         weights_.Outputs(in_group)};
      float* const place = steps_.PlaceOf(tensors, part, kOutputs);
      float* const sums = place ? place : room;
      kernel_.sums(of_group, count, layout_.window(), weights_.Block(group, in_group),
                   weights_.Strips(in_group), sums);
      if (!place) steps_.Run(tensors, part, {sums, kOutputs});
    }
  }

  const TensorInfo input_;
  const int tensor_;
  const ConvolutionInfo info_;
  const FloatKernel& kernel_;
  const ConvolutionLayout layout_;
  const int group_outputs_;
  FloatStrips weights_;
  const Steps steps_;
};

}  // namespace

std::unique_ptr<Stage> MakeFloatConvolution(const Plan& plan, const StageInfo& stage) {
  const ConvolutionInfo info = ReadConvolution(plan, stage);
  const int64_t pixels = int64_t{info.result.height} * info.result.width;
  const FloatKernel& kernel =
      ChooseFloatKernel(pixels >= kLeastPixelsForTiles && info.weights >= kLeastWeightsForTiles);
  const Int8Kernel* const int8_kernel =
      HasInt8Weights(stage) ? ChooseInt8Kernel(kernel, pixels == 1) : nullptr;
  if (int8_kernel) {
    if (std::unique_ptr<Stage> made = MakeInt8Convolution(plan, stage, *int8_kernel)) return made;
  }
  if (kernel.tiles) return MakeFloatTileConvolution(plan, stage, kernel);
  if (IsFiltered(plan, stage)) return MakeFilteredConvolution(plan, stage, kernel);
  return MakeFloatConvolution(plan, stage, kernel);
}

std::unique_ptr<Stage> MakeFloatConvolution(const Plan& plan, const StageInfo& stage,
                                            const FloatKernel& kernel) {
  return std::make_unique<FloatConvolution>(plan, stage, kernel);
}

}  // namespace lowbit
}  // namespace caffe
