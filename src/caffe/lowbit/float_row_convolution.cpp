#include <algorithm>
#include <vector>

#include "caffe/lowbit/convolution_layout.hpp"
#include "caffe/lowbit/float_kernel.hpp"
#include "caffe/lowbit/float_strips.hpp"
#include "caffe/lowbit/float_weights.hpp"
#include "caffe/lowbit/result_parts.hpp"
#include "caffe/lowbit/row_filter.hpp"
#include "caffe/lowbit/scratch.hpp"
#include "caffe/lowbit/stage.hpp"

namespace caffe {
namespace lowbit {

namespace {

constexpr int kOutputs = FloatKernel::kOutputs;
// Tiles at a time: their sums at all points stay in the first cache.
constexpr int kTiles = 18;
constexpr int kPartTiles = 2 * kTiles;
// At all points: more would leave the second cache, which the sums of each few tiles read them from.
constexpr int64_t kMostWeights = int64_t{1} << 17;

int Taps(const Geometry& geometry) { return (geometry.kernel_w + geometry.stride_w - 1) / geometry.stride_w; }

int TilesOfRow(const ConvolutionInfo& info) { return (info.result.width + kTileOutputs - 1) / kTileOutputs; }

/**
 * @brief A convolution of real numbers whose windows' rows are filtered as in RowFilter: the first one of a net.
 *
 * With stride s, s pixels are one of s times the channels, and filters have taps of s weights a channel.
 */
class FloatRowConvolution : public RowStage {
 public:
  FloatRowConvolution(const Plan& plan, const StageInfo& stage, const FloatKernel& kernel)
      : input_(plan.tensors[stage.inputs[0]]),
        tensor_(stage.inputs[0]),
        info_(ReadConvolution(plan, stage)),
        kernel_(kernel),
        taps_(Taps(info_.geometry)),
        points_(PointsOf(taps_)),
        unit_(info_.geometry.stride_w * input_.channels),
        tiles_(TilesOfRow(info_)),
        padded_height_(input_.height + 2 * info_.geometry.pad_h),
        point_floats_(int64_t{tiles_} * unit_ + RowTransforms::kBeyond),
        row_floats_(points_ * point_floats_),
        units_(info_.geometry.kernel_h, unit_),
        weights_(kernel, points_, info_.outputs, int64_t{info_.geometry.kernel_h} * unit_),
        steps_(plan, stage) {
    for (int row = 0; row < info_.geometry.kernel_h; ++row) {
      offsets_.push_back(static_cast<int32_t>(row * info_.geometry.dilation_h * row_floats_ * sizeof(float)));
    }
    PackWeights(stage);
  }

  size_t RoomBytes(int images) const override {
    return sizeof(float) * images * ImageFloats();
  }

  const char* Kernel() const override { return kernel_.name; }

  int ResultHeight() const override { return info_.result.height; }

  void Prepare(const Tensors& tensors, uint8_t* room, int threads) const override {
    EachRow(tensors.images, padded_height_, threads,
            [&](int image, int row) { TransformRow(tensors, image, row, Image(room, image)); });
  }

  void RunRows(const Tensors& tensors, uint8_t* room, int64_t begin_row, int64_t end_row,
               int threads) const override {
    RunParts((end_row - begin_row) * tiles_, weights_.blocks(), threads,
             [&](int64_t first, int count, int begin, int end) {
               for (int t = 0; t < count; t += kTiles) {
                 RunTiles(tensors, room, begin_row * tiles_ + first + t, std::min(kTiles, count - t), begin,
                          end);
               }
             },
             kPartTiles);
  }

 private:
  int64_t ImageFloats() const { return padded_height_ * row_floats_; }
  float* Image(uint8_t* room, int image) const {
    return reinterpret_cast<float*>(room) + image * ImageFloats();
  }

  // At each point: by row of the window, then by what is filtered.
  void PackWeights(const StageInfo& stage) {
    const int kernel_h = info_.geometry.kernel_h, channels = input_.channels;
    const int64_t row_weights = int64_t{info_.geometry.kernel_w} * channels;
    const int64_t point_weights = int64_t{kernel_h} * unit_;
    std::vector<float> read(info_.weights), taps(int64_t{taps_} * unit_), at_points(points_ * point_weights);
    for (int output = 0; output < info_.outputs; ++output) {
      ReadFloatWeights(stage, output, info_.weights, read.data());
      for (int row = 0; row < kernel_h; ++row) {
        // A tap is as many pixels as a unit; the last one's are not all there.
        std::copy_n(read.data() + row * row_weights, row_weights, taps.data());
        for (int u = 0; u < unit_; ++u) {
          float filter[kMostPoints], transformed[kMostPoints];
          for (int tap = 0; tap < taps_; ++tap) filter[tap] = taps[tap * unit_ + u];
          TransformTaps(taps_, filter, transformed);
          for (int point = 0; point < points_; ++point) {
            at_points[point * point_weights + row * unit_ + u] = transformed[point];
          }
        }
      }
      for (int point = 0; point < points_; ++point) {
        weights_.Pack(point, output, at_points.data() + point * point_weights);
      }
    }
  }

  void TransformRow(const Tensors& tensors, int image, int padded_row, float* out) const {
    out += padded_row * row_floats_;
    const int row = padded_row - info_.geometry.pad_h;
    if (row < 0 || row >= input_.height) {
      std::fill_n(out, row_floats_, 0.f);
      return;
    }
    const int64_t needed = int64_t{kTileOutputs * tiles_ + taps_ - 1} * unit_;
    const int64_t border = std::min(needed, int64_t{info_.geometry.pad_w} * input_.channels);
    const int64_t row_values = int64_t{input_.width} * input_.channels;
    const int64_t inside = std::min(needed - border, row_values);
    const size_t floats = needed + RowTransforms::kBeyond;
    float* const padded = reinterpret_cast<float*>(ThreadScratch(floats * sizeof(float)));
    std::fill_n(padded, border, 0.f);
    std::copy_n(tensors.real(tensor_) + (int64_t{image} * input_.height + row) * row_values, inside,
                padded + border);
    std::fill(padded + border + inside, padded + floats, 0.f);
    kernel_.rows.inputs(taps_, padded, unit_, tiles_, point_floats_, out);
  }

  // Tiles are counted through the rows of all images.
  void RunTiles(const Tensors& tensors, uint8_t* room, int64_t first, int count, int begin, int end) const {
    alignas(64) float sums[kMostPoints * kTiles * kOutputs], results[kTiles * kTileOutputs * kOutputs];
    const float* windows[kTiles];
    int outputs[kTiles], pixels = 0;
    const int64_t first_row = first / tiles_;
    const int64_t first_pixel = first_row * info_.result.width + kTileOutputs * (first % tiles_);
    PixelPlace tile({0, info_.result.height, tiles_}, first);
    for (int t = 0; t < count; ++t, tile.Next()) {
      windows[t] = Image(room, tile.image) + tile.y * info_.geometry.stride_h * row_floats_ +
                   static_cast<int64_t>(tile.x) * unit_;
      outputs[t] = std::min(kTileOutputs, info_.result.width - kTileOutputs * tile.x);
      pixels += outputs[t];
    }
    const Window window = {offsets_.data(), units_.data(), info_.geometry.kernel_h,
                           info_.geometry.kernel_h * unit_};
    for (int block = begin; block < end; ++block) {
      const int strips = weights_.Strips(block);
      for (int point = 0; point < points_; ++point) {
        const float* at_point[kTiles];
        for (int t = 0; t < count; ++t) at_point[t] = windows[t] + point * point_floats_;
        kernel_.sums(at_point, count, window, weights_.Block(point, block), strips,
                     sums + point * kTiles * kOutputs);
      }
      const Part part = {first_pixel, pixels, block * kOutputs, weights_.Outputs(block)};
      float* const place = steps_.PlaceOf(tensors, part, kOutputs);
      float* const result = place ? place : results;
      for (int t = 0, pixel = 0; t < count; pixel += outputs[t++]) {
        kernel_.rows.outputs(taps_, sums + t * kOutputs, kTiles * kOutputs, strips * kernel_.strip, outputs[t],
                             result + pixel * kOutputs, kOutputs);
      }
      if (!place) steps_.Run(tensors, part, {result, kOutputs});
    }
  }

  const TensorInfo input_;
  const int tensor_;
  const ConvolutionInfo info_;
  const FloatKernel& kernel_;
  const int taps_, points_;
  /// Floats of a tap.
  const int unit_;
  const int tiles_, padded_height_;
  const int64_t point_floats_, row_floats_;
  std::vector<int32_t> offsets_;
  const std::vector<int32_t> units_;
  FloatStrips weights_;
  const Steps steps_;
};

}  // namespace

bool IsFilteredByRows(const Plan& plan, const StageInfo& stage) {
  const ConvolutionInfo info = ReadConvolution(plan, stage);
  const Geometry& g = info.geometry;
  const int taps = Taps(g);
  if (info.groups > 1 || g.dilation_w > 1 || !IsFilteredAtPoints(taps)) return false;
  const int channels = plan.tensors[stage.inputs[0]].channels, points = PointsOf(taps);
  const int64_t tile_products = int64_t{g.kernel_h} * g.stride_w * channels * points;
  if (tile_products * info.outputs > kMostWeights) return false;
  // Offsets into an image are of 32 bits.
  const int64_t row_floats = points * (int64_t{TilesOfRow(info)} * g.stride_w * channels + RowTransforms::kBeyond);
  const int64_t rows = plan.tensors[stage.inputs[0]].height + 2 * int64_t{g.pad_h};
  if (rows * row_floats > INT32_MAX / int64_t{sizeof(float)}) return false;
  // Beside products, each point takes about as long as four of them.
  const int64_t filtered = (tile_products + 8 * points) * TilesOfRow(info);
  return 4 * filtered < 3 * info.weights * info.result.width;
}

std::unique_ptr<Stage> MakeFloatRowConvolution(const Plan& plan, const StageInfo& stage,
                                               const FloatKernel& kernel) {
  return std::make_unique<FloatRowConvolution>(plan, stage, kernel);
}

}  // namespace lowbit
}  // namespace caffe
