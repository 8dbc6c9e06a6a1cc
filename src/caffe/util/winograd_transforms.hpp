#ifndef CAFFE_UTIL_WINOGRAD_TRANSFORMS_HPP_
#define CAFFE_UTIL_WINOGRAD_TRANSFORMS_HPP_

#include <cstdint>

#include "caffe/util/bf16.hpp"

namespace caffe {

/**
 * The transforms of F(4x4, 3x3) and F(2x2, 5x5), each on 16 channels at a time.
 *
 * With matrices A (6x4 or 6x2), B (6x6) and G (6x3 or 6x5) a tile of a convolution is A^T [(G w G^T) * (B^T x
 * B)] A, where * is element by element over 36 points. Transformed tiles and weights are kept point by point:
 * the values of a point's tiles (or outputs) are rows of a matrix with a column for each channel,
 * point_stride after those of the point before. Tiles overlap by a kernel's size less one.
 *
 * Points are floats, or BF16, rounded to the nearest. Rows of an image are [rows][row_width][kWinogradLanes],
 * where tile t begins at column WinogradOutputs(kernel) t.
 */
constexpr int kWinogradLanes = 16;
constexpr int kWinogradInputs = 6;  ///< of a tile along an axis
constexpr int kWinogradPoints = kWinogradInputs * kWinogradInputs;
/// Outputs of a tile along an axis, for kernels of 3 or 5.
constexpr int WinogradOutputs(int kernel) { return kWinogradInputs + 1 - kernel; }

/// The planes of up to 16 channels of an image.
struct WinogradPlanes {
  int height, width;
  int lanes;  ///< how many channels there are

  int64_t plane() const { return static_cast<int64_t>(height) * width; }
};

/// rows = those from first_row on, between `pad` columns of zeros and zeros up to row_width; zeros outside.
void GatherWinogradRows(const WinogradPlanes& planes, const float* image, int first_row, int num_rows,
                        int pad, int row_width, float* rows);
/// image's row y = (or +=) a row without its first `pad` columns.
void ScatterWinogradRow(const WinogradPlanes& planes, const float* row, int pad, bool is_added, int y,
                        float* image);

/// points = B^T x B of the tiles in six rows.
void TransformWinogradInputs(int kernel, const float* rows, int row_width, int tiles, int64_t point_stride,
                             int channels, float* points);
void TransformWinogradInputs(int kernel, const float* rows, int row_width, int tiles, int64_t point_stride,
                             int channels, BF16* points);
/// points = A y A^T, the gradients by the points, for those by the outputs in as many rows as a tile has.
void TransformWinogradOutputs(int kernel, const float* rows, int row_width, int tiles, int64_t point_stride,
                              int channels, float* points);
void TransformWinogradOutputs(int kernel, const float* rows, int row_width, int tiles, int64_t point_stride,
                              int channels, BF16* points);
/// six rows = the sum of B p B^T, the gradient by the inputs, for those by the points.
void AddUpWinogradInputs(int kernel, const float* points, int64_t point_stride, int channels, int tiles,
                         int row_width, float* rows);

/// points = G w G^T of up to 16 kernels, zeros for those that are missing.
void TransformWinogradWeights(int kernel, const float* kernels, int lanes, int64_t point_stride,
                              float* points);
void TransformWinogradWeights(int kernel, const float* kernels, int lanes, int64_t point_stride,
                              BF16* points);
/// kernels += G^T p G, the gradient by the weights, for those by the points.
void AddWinogradWeightGradient(int kernel, const float* points, int64_t point_stride, int lanes,
                               float* kernels);

}  // namespace caffe

#endif  // CAFFE_UTIL_WINOGRAD_TRANSFORMS_HPP_
