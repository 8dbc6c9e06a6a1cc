#ifndef CAFFE_UTIL_WINOGRAD_HPP_
#define CAFFE_UTIL_WINOGRAD_HPP_

#include <cstdint>

#include "caffe/util/backward_precision.hpp"

namespace caffe {

/// Images, [num, in_channels, height, width], that are convolved with kernels of 3x3 or 5x5, without stride,
/// dilation or groups.
struct WinogradShape {
  int num;
  int in_channels, out_channels;
  int height, width;
  int pad_h, pad_w;
  int kernel;  ///< 3 or 5

  int out_height() const { return height + 2 * pad_h - kernel + 1; }
  int out_width() const { return width + 2 * pad_w - kernel + 1; }
};

/// Whether WinogradBackward is faster than sums of products as they are (measured on AVX-512; with BF16 on
/// tiles it is taken not to be).
bool IsWinogradWorthwhile(const WinogradShape& shape, Precision precision);

/**
 * @brief The gradients of a convolution by its weights and by its input, for the gradient of its output.
 *
 * By Winograd's minimal filtering F(4x4, 3x3) or F(2x2, 5x5) (Lavin and Gray, "Fast Algorithms for
 * Convolutional Neural Networks", CVPR 2016), taken backwards: 36 products for a tile of 4x4 or 2x2 outputs
 * in place of 144 or 100, and a relative error of some 1e-6, or 2e-2 (3x3) or 3e-2 where products are of
 * BF16, which takes oneDNN. Results depend on the number of threads only.
 *
 * @param input [num, in_channels, height, width]; not read where weight_diff is null
 * @param output_diff [num, out_channels, out_height, out_width]
 * @param weights [out_channels, in_channels, kernel, kernel]; not read where input_diff is null
 * @param weight_diff gets the gradient by the weights added, unless it is null
 * @param input_diff is set to the gradient by the input, unless it is null
 */
void WinogradBackward(const WinogradShape& shape, const float* input, const float* output_diff,
                      const float* weights, float* weight_diff, float* input_diff, Precision precision);

}  // namespace caffe

#endif  // CAFFE_UTIL_WINOGRAD_HPP_
