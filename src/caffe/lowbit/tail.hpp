#ifndef CAFFE_LOWBIT_TAIL_HPP_
#define CAFFE_LOWBIT_TAIL_HPP_

#include <cstdint>

namespace caffe {
namespace lowbit {

/// Values of a part: a row of `stride` elements for each pixel.
template <typename T>
struct Tile {
  T* values;
  int stride;

  T* row(int pixel) const { return values + static_cast<int64_t>(pixel) * stride; }
};

/// y > 0 ? y : slope y, without a branch, so that loops vectorize.
inline float Rectified(float y, float slope) {
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

void RunTail(const Tail& tail, Tile<const float> x);
void RunTail(const Tail& tail, Tile<const int16_t> x);
void RunTail(const Tail& tail, Tile<const int32_t> x);

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_TAIL_HPP_
