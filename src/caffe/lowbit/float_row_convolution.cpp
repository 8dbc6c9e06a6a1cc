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

int TilesOfRow(const ConvolutionInfo& info) {
  const int outputs = TileOutputs(Taps(info.geometry));
  return (info.result.width + outputs - 1) / outputs;
}

// Pixels that the last tap has.
int LastPixels(const Geometry& geometry) { return (geometry.kernel_w - 1) % geometry.stride_w + 1; }

/**
 * @brief A convolution of real numbers whose windows' rows are filtered, see row_filter.hpp: the first one of
 * a net.
 *
 * With stride s, s pixels are one unit of s times the channels, and filters have a tap for each unit that a
 * window's row touches.
 */
class FloatRowConvolution : public RowStage {
 public:
  FloatRowConvolution(const Plan& plan, const StageInfo& stage, const FloatKernel& kernel)
      : input_(plan.tensors[stage.inputs[0]]),
        tensor_(stage.inputs[0]),
        info_(ReadConvolution(plan, stage)),
        kernel_(kernel),
        taps_(Taps(info_.geometry)),
        tile_outputs_(TileOutputs(taps_)),
        unit_(info_.geometry.stride_w * input_.channels),
        tiles_(TilesOfRow(info_)),
        padded_height_(input_.height + 2 * info_.geometry.pad_h),
        point_floats_(int64_t{tiles_} * unit_ + RowTransforms::kBeyond),
        row_floats_(kPoints * point_floats_),
        finite_(kernel, kPoints - 1, info_.geometry, unit_, info_.outputs),
        infinite_(kernel, 1, info_.geometry, LastPixels(info_.geometry) * input_.channels, info_.outputs),
        steps_(plan, stage) {
    for (int row = 0; row < info_.geometry.kernel_h; ++row) {
      offsets_.push_back(static_cast<int32_t>(row * info_.geometry.dilation_h * row_floats_ * sizeof(float)));
    }
    PackWeights(stage);
  }

  size_t RoomBytes(int images) const override { return sizeof(float) * images * ImageFloats(); }

  const char* Kernel() const override { return kernel_.rows.name; }

  int ResultHeight() const override { return info_.result.height; }

  void Prepare(const Tensors& tensors, uint8_t* room, int threads) const override {
    EachRow(tensors.images, padded_height_, threads,
            [&](int image, int row) { TransformRow(tensors, image, row, Image(room, image)); });
  }

  void RunRows(const Tensors& tensors, uint8_t* room, int64_t begin_row, int64_t end_row,
               int threads) const override {
    RunParts((end_row - begin_row) * tiles_, finite_.weights.blocks(), threads,
             [&](int64_t first, int count, int begin, int end) {
               for (int t = 0; t < count; t += kTiles) {
                 RunTiles(tensors, room, begin_row * tiles_ + first + t, std::min(kTiles, count - t), begin,
                          end);
               }
             },
             kPartTiles);
  }

 private:
  // The weights at some points, and how many of each unit's values they multiply: at infinity only those of
  // the last tap.
  struct PointWeights {
    PointWeights(const FloatKernel& kernel, int points, const Geometry& geometry, int unit, int outputs)
        : units(geometry.kernel_h, unit), weights(kernel, points, outputs, weights_of_output()) {}

    int weights_of_output() const { return static_cast<int>(units.size()) * units[0]; }
    Window window(const std::vector<int32_t>& offsets) const {
      return {offsets.data(), units.data(), static_cast<int>(units.size()), weights_of_output()};
    }

    const std::vector<int32_t> units;
    FloatStrips weights;
  };

  PointWeights& Of(int point) { return point < kPoints - 1 ? finite_ : infinite_; }
  const PointWeights& Of(int point) const { return point < kPoints - 1 ? finite_ : infinite_; }

  int64_t ImageFloats() const { return padded_height_ * row_floats_; }
  float* Image(uint8_t* room, int image) const {
    return reinterpret_cast<float*>(room) + image * ImageFloats();
  }

  void PackWeights(const StageInfo& stage) {
    const int kernel_h = info_.geometry.kernel_h;
    const int64_t row_weights = int64_t{info_.geometry.kernel_w} * input_.channels;
    std::vector<float> weights(info_.weights), row(int64_t{taps_} * unit_);
    std::vector<float> at_points[kPoints];
    for (int point = 0; point < kPoints; ++point) at_points[point].resize(Of(point).weights_of_output());
    for (int output = 0; output < info_.outputs; ++output) {
      ReadFloatWeights(stage, output, info_.weights, weights.data());
      for (int y = 0; y < kernel_h; ++y) {
        // Of the last tap's unit not all pixels need be there.
        std::copy_n(weights.data() + y * row_weights, row_weights, row.data());
        for (int u = 0; u < unit_; ++u) {
          float filter[kPoints], transformed[kPoints];
          for (int tap = 0; tap < taps_; ++tap) filter[tap] = row[tap * unit_ + u];
          TransformTaps(taps_, filter, transformed);
          for (int point = 0; point < kPoints; ++point) {
            const int units = Of(point).units[y];
            if (u < units) at_points[point][y * units + u] = transformed[point];
          }
        }
      }
      for (int point = 0; point < kPoints; ++point) {
        Of(point).weights.Pack(point % (kPoints - 1), output, at_points[point].data());
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
    const int64_t needed = int64_t{tile_outputs_ * tiles_ + taps_ - 1} * unit_;
    const int64_t border = std::min(needed, int64_t{info_.geometry.pad_w} * input_.channels);
    const int64_t row_values = int64_t{input_.width} * input_.channels;
    const int64_t inside = std::min(needed - border, row_values);
    const size_t floats = needed + RowTransforms::kBeyond;
    float* const padded = reinterpret_cast<float*>(ThreadScratch(floats * sizeof(float)));
    std::fill_n(padded, border, 0.f);
    std::copy_n(tensors.real(tensor_) + (int64_t{image} * input_.height + row) * row_values, inside,
                padded + border);
    std::fill(padded + border + inside, padded + floats, 0.f);
    kernel_.rows.inputs(tile_outputs_, padded, unit_, tiles_, point_floats_, out);
  }

  // Tiles are counted through the rows of all images.
  void RunTiles(const Tensors& tensors, uint8_t* room, int64_t first, int count, int begin, int end) const {
    alignas(64) float sums[kPoints * kTiles * kOutputs], results[kTiles * kMostTileOutputs * kOutputs];
    const float* windows[kTiles];
    int outputs[kTiles], pixels = 0;
    const int64_t first_row = first / tiles_;
    const int64_t first_pixel = first_row * info_.result.width + tile_outputs_ * (first % tiles_);
    PixelPlace tile({0, info_.result.height, tiles_}, first);
    for (int t = 0; t < count; ++t, tile.Next()) {
      windows[t] = Image(room, tile.image) + tile.y * info_.geometry.stride_h * row_floats_ +
                   static_cast<int64_t>(tile.x) * unit_;
      outputs[t] = std::min(tile_outputs_, info_.result.width - tile_outputs_ * tile.x);
      pixels += outputs[t];
    }
    for (int block = begin; block < end; ++block) {
      const int strips = finite_.weights.Strips(block);
      for (int point = 0; point < kPoints; ++point) {
        const float* at_point[kTiles];
        for (int t = 0; t < count; ++t) at_point[t] = windows[t] + point * point_floats_;
        const PointWeights& of_point = Of(point);
        kernel_.sums(at_point, count, of_point.window(offsets_),
                     of_point.weights.Block(point % (kPoints - 1), block), strips,
                     sums + point * kTiles * kOutputs);
      }
      const Part part = {first_pixel, pixels, block * kOutputs, finite_.weights.Outputs(block)};
      float* const place = steps_.PlaceOf(tensors, part, kOutputs);
      float* const result = place ? place : results;
      for (int t = 0, pixel = 0; t < count; pixel += outputs[t++]) {
        kernel_.rows.outputs(tile_outputs_, sums + t * kOutputs, kTiles * kOutputs, strips * kernel_.strip,
                             outputs[t], result + pixel * kOutputs, kOutputs);
      }
      if (!place) steps_.Run(tensors, part, {result, kOutputs});
    }
  }

  const TensorInfo input_;
  const int tensor_;
  const ConvolutionInfo info_;
  const FloatKernel& kernel_;
  const int taps_, tile_outputs_;
  const int unit_;
  const int tiles_, padded_height_;
  const int64_t point_floats_, row_floats_;
  /// Of a window's rows.
  std::vector<int32_t> offsets_;
  PointWeights finite_, infinite_;
  const Steps steps_;
};

// Whether what a stage computes is compared with thresholds before anything but zeros has been added to it. A
// black window's sum is 0, as a threshold may be; at the points it would be 0 but for rounding.
bool ComparesSums(const Plan& plan, const StageInfo& stage, std::vector<bool>* seen) {
  for (const StepInfo& step : stage.steps) {
    switch (step.kind) {
      case StepKind::kAffine: {
        const float* const offsets = step.arrays[1].as<float>();
        if (std::any_of(offsets, offsets + step.arrays[1].count, [](float b) { return b != 0; }))
          return false;
        break;
      }
      case StepKind::kQuantize:
      case StepKind::kLevels:
        return true;
      case StepKind::kStore: {
        if ((*seen)[step.tensor]) break;
        (*seen)[step.tensor] = true;
        for (const StageInfo& reader : plan.stages) {
          const bool hands_on = reader.kind == StageKind::kPooling || reader.kind == StageKind::kMap;
          if (hands_on && reader.inputs[0] == step.tensor && ComparesSums(plan, reader, seen)) return true;
        }
        break;
      }
      default:
        break;
    }
  }
  return false;
}

}  // namespace

bool HasFewProductsByRows(const Plan& plan, const StageInfo& stage) {
  const ConvolutionInfo info = ReadConvolution(plan, stage);
  const Geometry& g = info.geometry;
  const int taps = Taps(g);
  if (info.groups > 1 || g.dilation_w > 1 || !IsFilteredAtPoints(taps)) return false;
  const TensorInfo& input = plan.tensors[stage.inputs[0]];
  const int64_t unit = int64_t{g.stride_w} * input.channels, tiles = TilesOfRow(info);
  const int64_t products = g.kernel_h * ((kPoints - 1) * unit + LastPixels(g) * int64_t{input.channels});
  if (products * info.outputs > kMostWeights) return false;
  // Offsets into an image are of 32 bits.
  const int64_t row_floats = kPoints * (tiles * unit + RowTransforms::kBeyond);
  const int64_t rows = input.height + 2 * int64_t{g.pad_h};
  if (rows * row_floats > INT32_MAX / int64_t{sizeof(float)}) return false;
  // Beside products, each point takes about as long as eight of them.
  return 4 * (products + 8 * kPoints) * tiles < 3 * info.weights * info.result.width;
}

bool IsFilteredByRows(const Plan& plan, const StageInfo& stage) {
  std::vector<bool> seen(plan.tensors.size());
  return HasFewProductsByRows(plan, stage) && !ComparesSums(plan, stage, &seen);
}

std::unique_ptr<Stage> MakeFloatRowConvolution(const Plan& plan, const StageInfo& stage,
                                               const FloatKernel& kernel) {
  return std::make_unique<FloatRowConvolution>(plan, stage, kernel);
}

}  // namespace lowbit
}  // namespace caffe
