#include <algorithm>
#include <vector>

#include "caffe/lowbit/convolution_layout.hpp"
#include "caffe/lowbit/float_kernel.hpp"
#include "caffe/lowbit/float_strips.hpp"
#include "caffe/lowbit/float_weights.hpp"
#include "caffe/lowbit/result_parts.hpp"
#include "caffe/lowbit/scratch.hpp"
#include "caffe/lowbit/stage.hpp"
#include "caffe/lowbit/window_filter.hpp"

namespace caffe {
namespace lowbit {

namespace {

constexpr int kOutputs = FloatKernel::kOutputs;
// Tiles of a row at a time: with more their sums at all points would leave the second cache, with fewer the
// weights would be read more often.
constexpr int kTiles = 16;
constexpr int kMostPixels = kTiles * kMostRowOutputs;
// At all points: more would leave the second cache, too.
constexpr int64_t kMostWeights = int64_t{1} << 18;

// With stride s, s pixels are one tap.
int Taps(int kernel, int stride) { return (kernel + stride - 1) / stride; }

// How windows are filtered along one axis, of taps that IsFilteredAtPoints.
struct FilteredAxis {
  FilteredAxis(const FilterPoints& points, int kernel, int stride, int result)
      : taps(Taps(kernel, stride)),
        stride(stride),
        last((kernel - 1) % stride + 1),
        outputs(points.TileOutputs(taps)),
        tiles((result + outputs - 1) / outputs) {}

  /// Pixels that tiles see.
  int64_t pixels() const { return int64_t{tiles * outputs + taps - 1} * stride; }

  int taps;
  int stride;
  /// Pixels that the last tap has.
  int last;
  /// Of a tile.
  int outputs;
  int tiles;
};

FilteredAxis Rows(const ConvolutionInfo& info) {
  return {kRowPoints, info.geometry.kernel_w, info.geometry.stride_w, info.result.width};
}

FilteredAxis Columns(const ConvolutionInfo& info) {
  return {kColumnPoints, info.geometry.kernel_h, info.geometry.stride_h, info.result.height};
}

// Of kTiles tiles of a row.
PointRows LayoutOf(const FilteredAxis& rows, const FilteredAxis& columns, int channels) {
  const int units = rows.stride * channels;
  static_assert(kTiles * PointRows::kPlaces % WindowFilter::kWhole == 0, "pieces are whole vectors");
  return {rows.outputs, units, rows.last * channels, columns.stride,
          int64_t{kTiles} * units * PointRows::kPlaces};
}

/**
 * @brief A convolution of real numbers whose windows are filtered, see window_filter.hpp: the first one of a
 * net.
 *
 * Rows of the input become values at points once, columns where a tile's row is computed.
 */
class FilteredConvolution : public RowStage {
 public:
  FilteredConvolution(const Plan& plan, const StageInfo& stage, const FloatKernel& kernel)
      : input_(plan.tensors[stage.inputs[0]]),
        tensor_(stage.inputs[0]),
        info_(ReadConvolution(plan, stage)),
        kernel_(kernel),
        rows_(Rows(info_)),
        columns_(Columns(info_)),
        layout_(LayoutOf(rows_, columns_, input_.channels)),
        turns_((rows_.tiles + kTiles - 1) / kTiles),
        row_floats_(WholeFloats(rows_.tiles)),
        at_infinity_(layout_),
        weights_(kernel, kColumnPoints.count, info_.outputs, layout_.weights()),
        steps_(plan, stage) {
    at_infinity_.pieces = columns_.last;
    PackWeights(stage);
  }

  size_t RoomBytes(int images) const override { return sizeof(float) * images * ImageFloats(); }

  const char* Kernel() const override { return kernel_.filter.name; }

  int ResultHeight() const override { return info_.result.height; }

  int RowsTogether() const override { return columns_.outputs; }

  void Prepare(const Tensors& tensors, uint8_t* room, int threads) const override {
    EachRow(tensors.images, static_cast<int>(columns_.pixels()), threads,
            [&](int image, int row) { TransformRow(tensors, image, row, Image(room, image)); });
  }

  void RunRows(const Tensors& tensors, uint8_t* room, int64_t begin_row, int64_t end_row,
               int threads) const override {
    const int64_t begin = TilesBefore(begin_row), end = TilesBefore(end_row);
    RunParts((end - begin) * turns_, weights_.blocks(), threads,
             [&](int64_t part, int, int begin_block, int end_block) {
               RunTiles(tensors, room, begin + part / turns_, static_cast<int>(part % turns_), begin_block,
                        end_block);
             },
             1);
  }

 private:
  // What some tiles of a row are computed with.
  struct Scratch {
    float *points, *sums, *results;
  };

  // Of so many tiles' values at the points of a row.
  int64_t WholeFloats(int tiles) const {
    constexpr int kWhole = WindowFilter::kWhole;
    return (int64_t{tiles} * layout_.units * PointRows::kPlaces + kWhole - 1) / kWhole * kWhole;
  }
  int64_t ImageFloats() const { return columns_.pixels() * row_floats_; }
  float* Image(uint8_t* room, int image) const {
    return reinterpret_cast<float*>(room) + image * ImageFloats();
  }

  // Rows of tiles, counted through all images, before a row of the result.
  int64_t TilesBefore(int64_t row) const {
    const int64_t image = row / info_.result.height, y = row % info_.result.height;
    return image * columns_.tiles + (y + columns_.outputs - 1) / columns_.outputs;
  }

  void PackWeights(const StageInfo& stage) {
    const std::vector<double> row_factors = kRowPoints.TapFactors(rows_.taps),
                              column_factors = kColumnPoints.TapFactors(columns_.taps);
    std::vector<float> weights(info_.weights), at_points(layout_.weights());
    for (int output = 0; output < info_.outputs; ++output) {
      ReadFloatWeights(stage, output, info_.weights, weights.data());
      const std::vector<double> at_row_points = RowsOfWeights(weights, row_factors);
      for (int point = 0; point < kColumnPoints.count; ++point) {
        ColumnsOfWeights(at_row_points, &column_factors[point * columns_.taps], at_points.data());
        weights_.Pack(point, output, at_points.data());
      }
    }
  }

  // An output's weights at the points of their rows: each row's elements, and their points.
  std::vector<double> RowsOfWeights(const std::vector<float>& weights,
                                    const std::vector<double>& factors) const {
    const int64_t row_weights = int64_t{info_.geometry.kernel_w} * input_.channels;
    std::vector<double> at_points;
    for (int y = 0; y < info_.geometry.kernel_h; ++y) {
      for (int unit = 0; unit < layout_.units; ++unit) {
        for (int point = 0; point < kRowPoints.count; ++point) {
          double sum = 0;
          for (int tap = 0; tap < rows_.taps; ++tap) {
            const int64_t x = int64_t{tap} * layout_.units + unit;
            // Of the last tap not all pixels need be there.
            if (x < row_weights) sum += factors[point * rows_.taps + tap] * weights[y * row_weights + x];
          }
          at_points.push_back(sum);
        }
      }
    }
    return at_points;
  }

  // The same at a point of their columns, which has these factors, in PointRows' order.
  void ColumnsOfWeights(const std::vector<double>& at_row_points, const double* factors,
                        float* at_points) const {
    const int64_t row_values = int64_t{layout_.units} * kRowPoints.count;
    for (int piece = 0; piece < layout_.pieces; ++piece) {
      for (int unit = 0; unit < layout_.units; ++unit) {
        const int points = kRowPoints.count - (unit >= layout_.infinite_units);
        for (int row_point = 0; row_point < points; ++row_point) {
          double sum = 0;
          for (int tap = 0; tap < columns_.taps; ++tap) {
            const int y = tap * columns_.stride + piece;
            if (y >= info_.geometry.kernel_h) break;
            sum += factors[tap] * at_row_points[y * row_values + unit * kRowPoints.count + row_point];
          }
          *at_points++ = static_cast<float>(sum);
        }
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
    const int64_t needed = rows_.pixels() * input_.channels;
    const int64_t border = std::min(needed, int64_t{info_.geometry.pad_w} * input_.channels);
    const int64_t row_values = int64_t{input_.width} * input_.channels;
    const int64_t inside = std::min(needed - border, row_values);
    float* const padded = reinterpret_cast<float*>(ThreadScratch(needed * sizeof(float)));
    std::fill_n(padded, border, 0.f);
    std::copy_n(tensors.real(tensor_) + (int64_t{image} * input_.height + row) * row_values, inside,
                padded + border);
    std::fill(padded + border + inside, padded + needed, 0.f);
    kernel_.filter.rows(layout_.tile_outputs, padded, layout_.units, rows_.tiles, out);
  }

  // Some tiles of a row of them, which is counted through all images. They begin where vectors do.
  void RunTiles(const Tensors& tensors, uint8_t* room, int64_t tile_row, int turn, int begin, int end) const {
    const int image = static_cast<int>(tile_row / columns_.tiles),
              y = static_cast<int>(tile_row % columns_.tiles) * columns_.outputs;
    const int pairs = (rows_.tiles + 1) / 2, tile = 2 * (pairs * turn / turns_);
    const int tiles = std::min(2 * (pairs * (turn + 1) / turns_), rows_.tiles) - tile;
    const Scratch scratch = MakeScratch();
    const float* const from = Image(room, image) + int64_t{y} * layout_.pieces * row_floats_ +
                              int64_t{tile} * layout_.units * PointRows::kPlaces;
    for (int piece = 0; piece < layout_.pieces; ++piece) {
      const float* rows[kColumnPoints.count];
      for (int i = 0; i < kColumnPoints.count; ++i) {
        rows[i] = from + (int64_t{i} * layout_.pieces + piece) * row_floats_;
      }
      kernel_.filter.columns(rows, WholeFloats(tiles), scratch.points + piece * layout_.piece_stride,
                             layout_.pieces * layout_.piece_stride);
    }
    const int x = tile * rows_.outputs, rows = std::min(columns_.outputs, info_.result.height - y);
    const Part part = {(int64_t{image} * info_.result.height + y) * info_.result.width + x,
                       std::min(tiles * rows_.outputs, info_.result.width - x), 0, 0};
    for (int block = begin; block < end; ++block) RunBlock(tensors, scratch, tiles, block, part, rows);
  }

  void RunBlock(const Tensors& tensors, const Scratch& scratch, int tiles, int block, Part part,
                int rows) const {
    const int64_t point_stride = layout_.pieces * layout_.piece_stride;
    const int64_t sums_stride = int64_t{tiles} * rows_.outputs * kernel_.strip;
    part.channel = block * kOutputs;
    part.channels = weights_.Outputs(block);
    Part parts[kMostColumnOutputs];
    float *places[kMostColumnOutputs], *results[kMostColumnOutputs];
    for (int row = 0; row < rows; ++row) {
      parts[row] = part;
      parts[row].pixel += int64_t{row} * info_.result.width;
      places[row] = steps_.PlaceOf(tensors, parts[row], kOutputs);
      results[row] = places[row] ? places[row] : scratch.results + row * kMostPixels * kOutputs;
    }
    for (int strip = 0; strip < weights_.Strips(block); ++strip) {
      for (int i = 0; i < kColumnPoints.count; ++i) {
        const PointRows& layout = i < kColumnPoints.count - 1 ? layout_ : at_infinity_;
        kernel_.filter.sums(layout, scratch.points + i * point_stride, tiles,
                            weights_.Block(i, block) + strip * layout_.weights() * kernel_.strip,
                            scratch.sums + i * sums_stride);
      }
      float* of_strip[kMostColumnOutputs];
      for (int row = 0; row < rows; ++row) of_strip[row] = results[row] + strip * kernel_.strip;
      kernel_.filter.outputs(columns_.outputs, scratch.sums, sums_stride, part.pixels, rows, of_strip);
    }
    for (int row = 0; row < rows; ++row) {
      if (!places[row]) steps_.Run(tensors, parts[row], {results[row], kOutputs});
    }
  }

  // Tiles at the points of their columns, their sums, and what becomes of these.
  Scratch MakeScratch() const {
    const int64_t points = kColumnPoints.count * layout_.pieces * layout_.piece_stride;
    const int64_t sums = int64_t{kColumnPoints.count} * kMostPixels * kernel_.strip;
    const int64_t results = int64_t{kMostColumnOutputs} * kMostPixels * kOutputs;
    const size_t points_bytes = Aligned(points * sizeof(float));
    uint8_t* const room = ThreadScratch(points_bytes + (sums + results) * sizeof(float));
    float* const after_points = reinterpret_cast<float*>(room + points_bytes);
    return {reinterpret_cast<float*>(room), after_points, after_points + sums};
  }

  const TensorInfo input_;
  const int tensor_;
  const ConvolutionInfo info_;
  const FloatKernel& kernel_;
  const FilteredAxis rows_, columns_;
  /// At finite points of columns.
  const PointRows layout_;
  /// Into which a row's tiles are divided.
  const int turns_;
  /// From a row at its points to the next.
  const int64_t row_floats_;
  /// At their infinity.
  PointRows at_infinity_;
  FloatStrips weights_;
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

bool HasFewProductsFiltered(const Plan& plan, const StageInfo& stage) {
  const ConvolutionInfo info = ReadConvolution(plan, stage);
  const Geometry& g = info.geometry;
  if (info.groups > 1 || g.dilation_h > 1 || g.dilation_w > 1 ||
      !IsFilteredAtPoints(Taps(g.kernel_w, g.stride_w)) ||
      !IsFilteredAtPoints(Taps(g.kernel_h, g.stride_h))) {
    return false;
  }
  const FilteredAxis rows = Rows(info), columns = Columns(info);
  const PointRows layout = LayoutOf(rows, columns, plan.tensors[stage.inputs[0]].channels);
  const int64_t row_products = layout.weights() / layout.pieces;
  const int64_t products = row_products * ((kColumnPoints.count - 1) * columns.stride + columns.last);
  if (products * info.outputs > kMostWeights) return false;
  // Beside products, each point takes about as long as four of them.
  constexpr int kBeside = 4 * kRowPoints.count * kColumnPoints.count;
  return 4 * (products + kBeside) * rows.tiles * columns.tiles <
         3 * info.weights * info.result.height * info.result.width;
}

bool IsFiltered(const Plan& plan, const StageInfo& stage) {
  std::vector<bool> seen(plan.tensors.size());
  return HasFewProductsFiltered(plan, stage) && !ComparesSums(plan, stage, &seen);
}

std::unique_ptr<Stage> MakeFilteredConvolution(const Plan& plan, const StageInfo& stage,
                                               const FloatKernel& kernel) {
  return std::make_unique<FilteredConvolution>(plan, stage, kernel);
}

}  // namespace lowbit
}  // namespace caffe
