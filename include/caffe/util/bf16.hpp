#ifndef CAFFE_UTIL_BF16_HPP_
#define CAFFE_UTIL_BF16_HPP_

#include <cstdint>
#include <cstring>

#include "caffe/util/device_alternate.hpp"

namespace caffe {

/// The upper half of a float.
using BF16 = uint16_t;

/// Rounds to the nearest, halves to the even one; infinities stay. A NaN has to be one of those that
/// computations make.
CAFFE_HOST_DEVICE inline BF16 ToBF16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return static_cast<BF16>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/// A value as it is kept, as what it is computed with.
CAFFE_HOST_DEVICE inline float Widened(float value) { return value; }
CAFFE_HOST_DEVICE inline double Widened(double value) { return value; }
CAFFE_HOST_DEVICE inline float Widened(BF16 value) {
  const uint32_t bits = static_cast<uint32_t>(value) << 16;
  float widened;
  memcpy(&widened, &bits, sizeof(widened));
  return widened;
}

}  // namespace caffe

#endif  // CAFFE_UTIL_BF16_HPP_
