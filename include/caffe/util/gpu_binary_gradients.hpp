#ifndef CAFFE_UTIL_GPU_BINARY_GRADIENTS_HPP_
#define CAFFE_UTIL_GPU_BINARY_GRADIENTS_HPP_

#include "caffe/common.hpp"

#ifndef CPU_ONLY

#include <cstdint>

#include "caffe/lowbit/binary_product.hpp"
#include "caffe/util/kept_codes.hpp"

namespace caffe {

/// A convolution with binary weights and the gradient by its result; all memory is the GPU's.
struct BinaryGradients {
  lowbit::BinaryProductShape shape;
  int images;
  /// One an output.
  const float* alphas;
  /// The weights, + or - their output's alpha; or null, and their signs (see GpuBinaryProduct::Signs).
  const float* binary;
  const uint32_t* sign_rows;
  int row_words;
  /// The input, which may be in codes instead.
  const float* input;
  const KeptCodes* input_codes;
  /// What the input's values are multiples of, small ones best.
  float unit;
  const float* output_diff;
  /// Is set to the gradient by the input; may be null.
  float* input_diff;
  /// The gradients by the weights and by a bias of each output are added; may be null.
  float *weight_diff, *bias_diff;
};

/// Whether ComputeGradientsInBF16 does it: not for kernels larger than 15 x 15, for images larger than 1 GB
/// in bfloat16, and for groups of few channels, which would be slow.
bool SuitsBF16(const lowbit::BinaryProductShape& shape);

/**
 * @brief Computes gradients as products of bfloat16 on tensor cores, with sums in floats.
 *
 * One factor of each product is exact: a sign, or an input that is at most 256 units. What is rounded, to 8
 * bits, is the gradient by the result. The bias's is of floats. Two runs on one kind of GPU give the same.
 *
 * @return false, and nothing is done, where SuitsBF16 is false.
 */
bool ComputeGradientsInBF16(const BinaryGradients& gradients);

}  // namespace caffe

#endif  // !CPU_ONLY

#endif  // CAFFE_UTIL_GPU_BINARY_GRADIENTS_HPP_
