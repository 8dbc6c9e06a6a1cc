#ifndef CAFFE_LOWBIT_WINDOW_FILTER_HPP_
#define CAFFE_LOWBIT_WINDOW_FILTER_HPP_

#include <cstdint>
#include <vector>

namespace caffe {
namespace lowbit {

/**
 * Winograd's minimal filtering ("Arithmetic Complexity of Computations", 1980) along one axis: with n points,
 * n + 1 - taps neighbouring outputs of a filter, a tile, take n products in place of taps for each output.
 *
 * A tile's n inputs, and the filter, become values at the points, of which the last one is infinity; their
 * products there, summed over whatever is summed, become the tile's outputs.
 */
struct FilterPoints {
  static constexpr int kMost = 7;

  int count;
  /// All but infinity.
  float finite[kMost - 1];

  constexpr int TileOutputs(int taps) const { return count + 1 - taps; }

  /// What taps are multiplied by in a filter's values at the points: count x taps.
  std::vector<double> TapFactors(int taps) const;
};

/**
 * Those along a row and along a column. One point fewer along columns makes a tenth more products, and a
 * third less rounding: first layers of ResNet-18 and AlexNet are off by 1.1 and 1.4 times as much as sums of
 * the products themselves for photographs, and by 2.4 and 2.7 times as much for noise, on average: by 2e-7 to
 * 2e-6 of their standard deviation. A tile's inputs, not a single window's, say how large that is, and what
 * is not finite shows in all of its outputs.
 */
constexpr FilterPoints kRowPoints = {7, {0, 1, -1, 2, -2, 0.5f}};
constexpr FilterPoints kColumnPoints = {6, {0, 1, -1, 2, -0.5f}};

constexpr bool IsFilteredAtPoints(int taps) { return taps >= 3 && taps <= 5; }
/// Of the two, the most outputs of a tile.
constexpr int kMostRowOutputs = kRowPoints.TileOutputs(3), kMostColumnOutputs = kColumnPoints.TileOutputs(3);

/// A tile's values at a point of its columns: `pieces` rows of values of `units` windows' elements each.
struct PointRows {
  /// An element's values at the points of its row lie together, with room for one more.
  static constexpr int kPlaces = kRowPoints.count + 1;

  /// Outputs of a tile's row.
  int tile_outputs;
  /// Elements from one tile to the next: as many as a piece has.
  int units;
  /// Those of them that count at infinity, the first ones.
  int infinite_units;
  int pieces;
  /// Floats from a piece to the next.
  int64_t piece_stride;

  /// Weights of an output, in the order in which they are multiplied: piece by piece, element by element,
  /// point by point.
  int64_t weights() const {
    return int64_t{pieces} * (infinite_units + int64_t{units} * (kRowPoints.count - 1));
  }
};

/// A processor's way to filter windows.
struct WindowFilter {
  /// Floats that any processor's vectors divide.
  static constexpr int kWhole = 16;

  /// Of the whole way of computing, for reports.
  const char* name;

  /**
   * @brief Values of rows at their points.
   *
   * @param row units of `units` elements, each filtered by itself; tile t has those from unit
   *        tile_outputs * t on.
   * @param points tiles * units * PointRows::kPlaces.
   */
  void (*rows)(int tile_outputs, const float* row, int units, int tiles, float* points);

  /// Values of columns at their points: of kColumnPoints.count rows of a tile, to as many rows of `count`
  /// values, a multiple of kWhole, that are `point_stride` apart.
  void (*columns)(const float* const* rows, int64_t count, float* points, int64_t point_stride);

  /**
   * @brief Sums of products, and from them the outputs along each row, for one strip of outputs.
   *
   * @param points the first tile's.
   * @param weights layout.weights() for each of the strip's outputs.
   * @param sums tiles * tile_outputs * strip.
   */
  void (*sums)(const PointRows& layout, const float* points, int tiles, const float* weights, float* sums);

  /**
   * @brief The outputs along each column.
   *
   * @param sums at each point, from i * point_stride on, `pixels` strips.
   * @param outputs how many of the tile's rows of outputs are wanted, from the first on.
   * @param results one row for each, in which pixels are FloatKernel::kOutputs apart.
   */
  void (*outputs)(int tile_outputs, const float* sums, int64_t point_stride, int pixels, int outputs,
                  float* const* results);
};

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_WINDOW_FILTER_HPP_
