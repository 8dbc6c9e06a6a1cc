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

/// A matrix's transpose: to[c * to_stride + r] = from[r * stride + c], or += where is_added. Part of its
/// caller, too.
inline __attribute__((always_inline)) void TransposeMatrix(const float* from, int64_t stride, int64_t rows,
                                                           int64_t columns, bool is_added, float* to,
                                                           int64_t to_stride) {
  const int64_t whole_rows = rows / 4 * 4, whole_columns = columns / 4 * 4;
  for (int64_t r = 0; r < whole_rows; r += 4) {
    for (int64_t c = 0; c < whole_columns; c += 4) {
      Quad quads[4];
      Transpose(from + r * stride + c, stride, quads);
      for (int i = 0; i < 4; ++i) {
        Quad& values = *reinterpret_cast<Quad*>(to + (c + i) * to_stride + r);
        values = is_added ? values + quads[i] : quads[i];
      }
    }
  }
  for (int64_t c = 0; c < columns; ++c) {
    for (int64_t r = c < whole_columns ? whole_rows : 0; r < rows; ++r) {
      float& value = to[c * to_stride + r];
      value = is_added ? value + from[r * stride + c] : from[r * stride + c];
    }
  }
}

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_TRANSPOSE_HPP_
