#ifndef CAFFE_LOWBIT_ROW_FILTER_HPP_
#define CAFFE_LOWBIT_ROW_FILTER_HPP_

#include <cstdint>

namespace caffe {
namespace lowbit {

/**
 * @brief Winograd's minimal filtering of a row, F(4, taps): four outputs of a filter of 3 or 4 taps by 6 or 7
 * products in place of 12 or 16 ("Arithmetic Complexity of Computations", 1980).
 *
 * Outputs, and the filter, are values of a polynomial at the points 0, 1, -1, 2, -2, (of 4 taps) 1/2 and
 * infinity: outputs = kOutputs ((kWeights w) * (kInputs x)) for the inputs x under them, as many as there are
 * points. Results of a first layer are off by about twice what sums of the products themselves are, root mean
 * square: some 4e-7 of their standard deviation. A tile's inputs, not a single window's, say how large that is,
 * and what is not finite shows in all four outputs.
 */
template <int kTaps>
struct RowFilter;

template <>
struct RowFilter<3> {
  static constexpr int kPoints = 6;
  static constexpr float kInputs[kPoints][kPoints] = {
      {4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
      {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1},
  };
  static constexpr double kWeights[kPoints][3] = {
      {1 / 4., 0, 0},
      {-1 / 6., -1 / 6., -1 / 6.},
      {-1 / 6., 1 / 6., -1 / 6.},
      {1 / 24., 1 / 12., 1 / 6.},
      {1 / 24., -1 / 12., 1 / 6.},
      {0, 0, 1},
  };
  static constexpr float kOutputs[4][kPoints] = {
      {1, 1, 1, 1, 1, 0},
      {0, 1, -1, 2, -2, 0},
      {0, 1, 1, 4, 4, 0},
      {0, 1, -1, 8, -8, 1},
  };
};

template <>
struct RowFilter<4> {
  static constexpr int kPoints = 7;
  static constexpr float kInputs[kPoints][kPoints] = {
      {-2, 4, 2.5f, -5, -0.5f, 1, 0},  {0, 2, -2, -4.5f, 0.5f, 1, 0}, {0, -2, 6, -3.5f, -1.5f, 1, 0},
      {0, 1, -1.5f, -2, 1.5f, 1, 0},   {0, -1, 2.5f, 0, -2.5f, 1, 0}, {0, 4, 0, -5, 0, 1, 0},
      {0, -2, 4, 2.5f, -5, -0.5f, 1},
  };
  static constexpr double kWeights[kPoints][4] = {
      {-1 / 2., 0, 0, 0},
      {-1 / 3., -1 / 3., -1 / 3., -1 / 3.},
      {1 / 9., -1 / 9., 1 / 9., -1 / 9.},
      {1 / 36., 1 / 18., 1 / 9., 2 / 9.},
      {-1 / 60., 1 / 30., -1 / 15., 2 / 15.},
      {32 / 45., 16 / 45., 8 / 45., 4 / 45.},
      {0, 0, 0, 1},
  };
  static constexpr float kOutputs[4][kPoints] = {
      {1, 1, 1, 1, 1, 1, 0},
      {0, 1, -1, 2, -2, 0.5f, 0},
      {0, 1, 1, 4, 4, 0.25f, 0},
      {0, 1, -1, 8, -8, 0.125f, 1},
  };
};

/// Outputs of a tile, and the most points that it has.
constexpr int kTileOutputs = 4, kMostPoints = 7;

/// 3 or 4 taps are filtered so.
constexpr bool IsFilteredAtPoints(int taps) { return taps == 3 || taps == 4; }
/// The points of a tile, and its inputs.
constexpr int PointsOf(int taps) { return kTileOutputs + taps - 1; }

/// The filter's values at the points. @param at_points PointsOf(taps) values.
void TransformTaps(int taps, const float* weights, float* at_points);

/// A processor's way to transform what is filtered, and the sums of products at the points.
struct RowTransforms {
  /// The most floats that a row is read, and values at a point are written, beyond their ends.
  static constexpr int kBeyond = 8;

  /**
   * @param row units of `unit` floats, each filtered by itself: 4 tiles + taps - 1 of them; tile t begins at
   *        unit 4 t.
   * @param points at each point, from i * point_stride on, tiles * unit values: tile by tile,
   *        and room for kBeyond more.
   */
  void (*inputs)(int taps, const float* row, int unit, int tiles, int64_t point_stride, float* points);
  /**
   * @param sums of one tile: at each point, from i * point_stride on, `channels` values, a multiple of 16.
   * @param outputs how many of the tile's outputs are wanted, 1 to 4.
   * @param result a row of `result_stride` values for each output.
   */
  void (*outputs)(int taps, const float* sums, int64_t point_stride, int channels, int outputs, float* result,
                  int64_t result_stride);
};

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_ROW_FILTER_HPP_
