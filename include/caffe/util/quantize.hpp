#ifndef CAFFE_UTIL_QUANTIZE_HPP_
#define CAFFE_UTIL_QUANTIZE_HPP_

#include <limits>

#include "caffe/util/binarize.hpp"
#include "caffe/util/device_alternate.hpp"
#include "caffe/util/neuron_functions.hpp"

namespace caffe {

/**
 * @brief Half-wave Gaussian quantization (Cai et al., HWGQ-Net, CVPR 2017, section 4).
 *
 * -negative_slope for x <= 0, else the first of `count` >= 1 ascending centers c_j with x <= t_j, where t_j
 * is (c_j + c_{j+1}) / 2 and the last is infinite. NaN stays NaN, so that a diverged net shows it.
 */
template <typename Dtype>
CAFFE_HOST_DEVICE inline Dtype hwgq(Dtype x, Dtype negative_slope, const Dtype* thrs, const Dtype* centers,
                                    int count) {
  // From the last center down, without branches, which vectorizes.
  Dtype y = centers[count - 1];
  for (int j = count - 2; j >= 0; --j) {
    const Dtype threshold = thrs[j], center = centers[j];
    y = x <= threshold ? center : y;
  }
  y = x <= 0 ? -negative_slope : y;
  return x == x ? y : x;
}

/// hwgq with room for kCenters centers, held by value so that loops keep them in registers. Fewer are padded
/// at the end with infinite ones, which no value takes.
template <typename Dtype, int kCenters>
struct HwgqFunction {
  Dtype negative_slope;
  Dtype thrs[kCenters];
  Dtype centers[kCenters];
  CAFFE_HOST_DEVICE Dtype Forward(Dtype x) const { return hwgq(x, negative_slope, thrs, centers, kCenters); }
};

/// hwgq with any number of centers, which stay where they are.
template <typename Dtype>
struct LongHwgqFunction {
  Dtype negative_slope;
  const Dtype* thrs;
  const Dtype* centers;
  int count;
  CAFFE_HOST_DEVICE Dtype Forward(Dtype x) const { return hwgq(x, negative_slope, thrs, centers, count); }
};

/// +1 for x >= 0, else -1; NaN stays NaN.
template <typename Dtype>
struct SignFunction {
  CAFFE_HOST_DEVICE Dtype Forward(Dtype x) const { return x == x ? binarize(x, Dtype(1)) : x; }
};

/// The code of NaN; those of levels are less.
constexpr unsigned char kNanCode = 127;

/// The code of y, which a quantizer has made: how many of its levels but the lowest y reaches. 0 for
/// functions of many levels or without.
template <typename Function, typename Dtype>
CAFFE_HOST_DEVICE inline int CodeOf(const Function&, Dtype) {
  return 0;
}

// Without branches, so that loops over values can be vectorized. A NaN reaches no level.
template <typename Dtype, int kCenters>
CAFFE_HOST_DEVICE inline int CodeOf(const HwgqFunction<Dtype, kCenters>& function, Dtype y) {
  static_assert(kCenters < kNanCode);
  int code = kNanCode * (y != y);
  for (int j = 0; j < kCenters; ++j) code += y >= function.centers[j];
  return code;
}

template <typename Dtype>
CAFFE_HOST_DEVICE inline int CodeOf(const SignFunction<Dtype>&, Dtype y) {
  return kNanCode * (y != y) + (y >= 1);
}

/// The level that has a code; 0 for functions of many levels or without.
template <template <typename> class Function, typename Dtype>
CAFFE_HOST_DEVICE inline Dtype LevelOf(const Function<Dtype>&, int) {
  return 0;
}

template <typename Dtype, int kCenters>
CAFFE_HOST_DEVICE inline Dtype LevelOf(const HwgqFunction<Dtype, kCenters>& function, int code) {
  Dtype level = -function.negative_slope;
  for (int j = 0; j < kCenters; ++j) level = code > j ? function.centers[j] : level;
  return code == kNanCode ? std::numeric_limits<Dtype>::quiet_NaN() : level;
}

template <typename Dtype>
CAFFE_HOST_DEVICE inline Dtype LevelOf(const SignFunction<Dtype>&, int code) {
  return code == kNanCode ? std::numeric_limits<Dtype>::quiet_NaN() : Dtype(code > 0 ? 1 : -1);
}

/// What is kept of a quantized value for the gradient, in a byte: its code, and the gradient's derivative,
/// which is 1 or 0.
CAFFE_HOST_DEVICE inline unsigned char KeptByte(int code, bool passes) {
  return static_cast<unsigned char>(2 * code + passes);
}
CAFFE_HOST_DEVICE inline int KeptCode(unsigned char kept) { return kept >> 1; }
CAFFE_HOST_DEVICE inline int KeptDerivative(unsigned char kept) { return kept & 1; }

/// The same in 4 bits, for codes below kHalfByteNan, which stands for NaN.
constexpr int kHalfByteNan = 7;
CAFFE_HOST_DEVICE inline unsigned char KeptHalfByte(unsigned char kept) {
  const int code = KeptCode(kept);
  return KeptByte(code == kNanCode ? kHalfByteNan : code, KeptDerivative(kept));
}

/// What is kept of values that follow one another.
struct KeptValues {
  /// A byte each; or two in a byte, the first in the lower half.
  const unsigned char* bytes = nullptr;
  bool in_halves = false;
  /// The value that is number 0 here.
  int64_t first = 0;

  KeptValues From(int64_t i) const { return {bytes, in_halves, first + i}; }

  /// KeptByte of value i.
  CAFFE_HOST_DEVICE unsigned char operator()(int64_t i) const {
    i += first;
    if (!in_halves) return bytes[i];
    const int half = bytes[i / 2] >> i % 2 * 4 & 15, code = KeptCode(static_cast<unsigned char>(half));
    return KeptByte(code == kHalfByteNan ? kNanCode : code, half & 1);
  }
};

/// Gradient that stands in for a quantizer's: that of a leaky ReLU, and 0 above `limit`. For NaN:
/// negative_slope.
template <typename Dtype>
struct ClippedReluGradient {
  Dtype negative_slope;
  Dtype limit;
  CAFFE_HOST_DEVICE Dtype Derivative(Dtype x, Dtype y) const {
    return x > limit ? Dtype(0) : ReluFunction<Dtype>{negative_slope}.Derivative(x, y);
  }
};

/// Likewise that of a ReLU whose part above `limit` grows as a logarithm: 1 / (x - limit + 1) there, which
/// leaves outliers a little influence (section 4.3). For NaN: negative_slope.
template <typename Dtype>
struct LogTailedReluGradient {
  Dtype negative_slope;
  Dtype limit;
  CAFFE_HOST_DEVICE Dtype Derivative(Dtype x, Dtype y) const {
    return x > limit ? 1 / (x - limit + 1) : ReluFunction<Dtype>{negative_slope}.Derivative(x, y);
  }
};

}  // namespace caffe

#endif  // CAFFE_UTIL_QUANTIZE_HPP_
