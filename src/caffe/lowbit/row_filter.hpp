#ifndef CAFFE_LOWBIT_ROW_FILTER_HPP_
#define CAFFE_LOWBIT_ROW_FILTER_HPP_

#include <cstdint>

namespace caffe {
namespace lowbit {

/**
 * Winograd's minimal filtering of rows ("Arithmetic Complexity of Computations", 1980): 3, 4 or 5
 * neighbouring outputs of a filter of 5, 4 or 3 taps, a tile, by 7 products in place of 15 or 16.
 *
 * A tile's 7 inputs, and the filter, become values at the points 0, 1, -1, 2, -2, 1/2 and infinity; their
 * products there, summed over whatever is summed, become the tile's outputs. Results of a first layer are off
 * by as much as sums of the products themselves for photographs, and by up to about twice that for noise,
 * root mean square: some 5e-7 of their standard deviation. A tile's inputs, not a single window's, say how
 * large that is, and what is not finite shows in all of its outputs.
 */
constexpr int kPoints = 7;
/// All but infinity, which is the last.
constexpr float kFinitePoints[kPoints - 1] = {0, 1, -1, 2, -2, 0.5f};

constexpr bool IsFilteredAtPoints(int taps) { return taps >= 3 && taps <= 5; }
/// Outputs of a tile of a filter of so many taps, and the most of them.
constexpr int TileOutputs(int taps) { return kPoints + 1 - taps; }
constexpr int kMostTileOutputs = TileOutputs(3);

/// The filter's values at the points. At infinity it is the last tap alone.
void TransformTaps(int taps, const float* weights, float at_points[kPoints]);

/// A processor's way to transform rows, and sums of products at the points.
struct RowTransforms {
  /// The most floats that a row is read, and values at a point are written, beyond their ends.
  static constexpr int kBeyond = 8;

  /// Of the whole way of computing, for reports.
  const char* name;
  /**
   * @param row units of `unit` floats, each filtered by itself; tile t has the seven from unit
   *        tile_outputs * t on.
   * @param points at each point, from i * point_stride on, tiles * unit values: tile by tile, and room for
   *        kBeyond more.
   */
  void (*inputs)(int tile_outputs, const float* row, int unit, int tiles, int64_t point_stride,
                 float* points);
  /**
   * @param sums of one tile: at each point, from i * point_stride on, `channels` values, a whole number of
   *        the kernel's strips.
   * @param outputs how many of the tile's outputs are wanted, from the first on.
   * @param result a row of `result_stride` values for each output.
   */
  void (*outputs)(int tile_outputs, const float* sums, int64_t point_stride, int channels, int outputs,
                  float* result, int64_t result_stride);
};

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_ROW_FILTER_HPP_
