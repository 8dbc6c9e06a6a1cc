#ifndef CAFFE_LOWBIT_TRANSPOSE_HPP_
#define CAFFE_LOWBIT_TRANSPOSE_HPP_

#include <cstdint>

namespace caffe {
namespace lowbit {

/// Four floats, at any address of floats.
typedef float Quad __attribute__((vector_size(4 * sizeof(float)), aligned(4), may_alias));

/**
 * @brief The transpose of a matrix of 4x4.
 *
 * @param from its first row; each next one is `stride` floats behind.
 * @param made the four columns.
 *
 * It becomes part of its caller, so that it is made of the instructions that the caller may use.
 */
inline __attribute__((always_inline)) void Transpose(const float* from, int64_t stride, Quad* made) {
  const Quad a = *reinterpret_cast<const Quad*>(from), b = *reinterpret_cast<const Quad*>(from + stride);
  const Quad c = *reinterpret_cast<const Quad*>(from + 2 * stride);
  const Quad d = *reinterpret_cast<const Quad*>(from + 3 * stride);
  const Quad ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5),
             ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Quad cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5),
             cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  made[0] = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5);
  made[1] = __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7);
  made[2] = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
  made[3] = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
}

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_TRANSPOSE_HPP_
