#ifndef CAFFE_LOWBIT_TAIL_HPP_
#define CAFFE_LOWBIT_TAIL_HPP_

#include <cstdint>

#include "caffe/lowbit/host_device.hpp"

namespace caffe {
namespace lowbit {

/// Values of a part: a row of `stride` elements for each pixel.
template <typename T>
struct Tile {
  T* values;
  int stride;

  T* row(int pixel) const { return values + static_cast<int64_t>(pixel) * stride; }
};

/**
 * @brief A binary convolution's values of 16 bits, as its kernel leaves them.
 *
 * Output o of pixel p has the value factor sums[p * kOutputs + o] - digit_sums[p] - constants[o], which is
 * neither -32768 nor 32767.
 */
struct Sums16 {
  /// All of these are there, whatever part of them counts.
  static constexpr int kOutputs = 64;

  const int16_t* sums;
  /// 1 or 2.
  int factor;
  const int32_t* digit_sums;
  const int16_t* constants;

  void Expand(int pixel, int16_t* values) const {
    const int32_t all = digit_sums[pixel];
    const int16_t* s = sums + pixel * kOutputs;
    for (int o = 0; o < kOutputs; ++o) values[o] = static_cast<int16_t>(factor * s[o] - all - constants[o]);
  }
};

/// y > 0 ? y : slope y, without a branch, so that loops vectorize.
HWGQ_HOST_DEVICE inline float Rectified(float y, float slope) {
  const float above = y > 0 ? y : 0, below = y > 0 ? 0 : y;
  return above + slope * below;
}

/**
 * @brief The steps that most stages end with, in one pass over the values: normalize, add the shortcut,
 * rectify, keep the result, normalize it for the quantizer, quantize.
 *
 * y = a x + b, then y += shortcut, y = y > 0 ? y : slope y, kept = y, codes = the number of thresholds below
 * g y + h; a null shortcut, kept or codes leaves its part out, as does a slope of 1. The same operations in
 * the same order as the steps one by one, so that the results are the same bit for bit.
 */
struct Tail {
  int pixels, channels;
  const float *a, *b;
  Tile<const float> shortcut;
  float slope;
  Tile<float> kept;
  const float *g, *h;
  const float* thresholds;
  int threshold_count;
  Tile<uint8_t> codes;
};

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_TAIL_HPP_
