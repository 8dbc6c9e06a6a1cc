#ifndef CAFFE_UTIL_NEURON_FUNCTIONS_HPP_
#define CAFFE_UTIL_NEURON_FUNCTIONS_HPP_

#include <algorithm>
#include <cmath>

#include "caffe/util/device_alternate.hpp"

namespace caffe {

/**
 * The element-wise functions of the neuron layers, for all devices. Each has Forward(x), Derivative(x, y)
 * with y = Forward(x), and kNeedsInput: whether the derivative needs x itself, so that a layer that
 * overwrites it (in place) has to keep it.
 */
template <typename Dtype>
struct ReluFunction {
  static constexpr bool kNeedsInput = false;
  Dtype negative_slope;
  // A sum, not a choice, which would be a branch for each element. NaN stays NaN.
  CAFFE_HOST_DEVICE Dtype Forward(Dtype x) const {
    return (x < 0 ? Dtype(0) : x) + negative_slope * (x > 0 ? Dtype(0) : x);
  }
  // The sign of x is that of y for a slope that is not negative.
  CAFFE_HOST_DEVICE Dtype Derivative(Dtype x, Dtype) const { return x > 0 ? Dtype(1) : negative_slope; }
};

template <typename Dtype>
struct SigmoidFunction {
  static constexpr bool kNeedsInput = false;
  // By tanh: no overflow for any x.
  CAFFE_HOST_DEVICE Dtype Forward(Dtype x) const {
    return Dtype(0.5) * std::tanh(Dtype(0.5) * x) + Dtype(0.5);
  }
  CAFFE_HOST_DEVICE Dtype Derivative(Dtype, Dtype y) const { return y * (1 - y); }
};

template <typename Dtype>
struct TanhFunction {
  static constexpr bool kNeedsInput = false;
  CAFFE_HOST_DEVICE Dtype Forward(Dtype x) const { return std::tanh(x); }
  CAFFE_HOST_DEVICE Dtype Derivative(Dtype, Dtype y) const { return 1 - y * y; }
};

template <typename Dtype>
struct AbsValFunction {
  static constexpr bool kNeedsInput = true;
  CAFFE_HOST_DEVICE Dtype Forward(Dtype x) const { return std::fabs(x); }
  CAFFE_HOST_DEVICE Dtype Derivative(Dtype x, Dtype) const { return Dtype((x > 0) - (x < 0)); }
};

/// log(1 + e^x), without overflow.
template <typename Dtype>
struct BnllFunction {
  static constexpr bool kNeedsInput = false;
  CAFFE_HOST_DEVICE Dtype Forward(Dtype x) const {
    return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
  }
  // e^x / (1 + e^x), by y.
  CAFFE_HOST_DEVICE Dtype Derivative(Dtype, Dtype y) const { return -std::expm1(-y); }
};

/// Clevert, Unterthiner and Hochreiter, "Fast and Accurate Deep Network Learning by Exponential Linear
/// Units".
template <typename Dtype>
struct EluFunction {
  static constexpr bool kNeedsInput = false;
  Dtype alpha;
  CAFFE_HOST_DEVICE Dtype Forward(Dtype x) const { return x > 0 ? x : alpha * std::expm1(x); }
  CAFFE_HOST_DEVICE Dtype Derivative(Dtype x, Dtype y) const { return x > 0 ? Dtype(1) : y + alpha; }
};

/// e^(inner x + offset): base^(scale x + shift) with inner = scale ln base and offset = shift ln base.
template <typename Dtype>
struct ExpFunction {
  static constexpr bool kNeedsInput = false;
  Dtype inner_scale, outer_scale;
  CAFFE_HOST_DEVICE Dtype Forward(Dtype x) const { return outer_scale * std::exp(inner_scale * x); }
  CAFFE_HOST_DEVICE Dtype Derivative(Dtype, Dtype y) const { return inner_scale * y; }
};

/// ln(scale x + shift) times base_scale = 1 / ln base.
template <typename Dtype>
struct LogFunction {
  static constexpr bool kNeedsInput = true;
  Dtype scale, shift, base_scale;
  CAFFE_HOST_DEVICE Dtype Forward(Dtype x) const { return base_scale * std::log(scale * x + shift); }
  CAFFE_HOST_DEVICE Dtype Derivative(Dtype x, Dtype) const {
    return base_scale * scale / (scale * x + shift);
  }
};

/// (shift + scale x)^power.
template <typename Dtype>
struct PowerFunction {
  static constexpr bool kNeedsInput = true;
  Dtype power, scale, shift;
  CAFFE_HOST_DEVICE Dtype Forward(Dtype x) const {
    const Dtype linear = scale * x + shift;
    if (power == 1) return linear;
    if (power == 2) return linear * linear;
    if (power == 0) return 1;
    return std::pow(linear, power);
  }
  CAFFE_HOST_DEVICE Dtype Derivative(Dtype x, Dtype) const {
    const Dtype linear = scale * x + shift;
    if (power == 1) return scale;
    if (power == 2) return 2 * scale * linear;
    if (power == 0) return 0;
    return power * scale * std::pow(linear, power - 1);
  }
};

template <typename Dtype>
struct ClipFunction {
  static constexpr bool kNeedsInput = true;
  Dtype min, max;
  CAFFE_HOST_DEVICE Dtype Forward(Dtype x) const { return x < min ? min : (x > max ? max : x); }
  CAFFE_HOST_DEVICE Dtype Derivative(Dtype x, Dtype) const { return Dtype((x >= min) & (x <= max)); }
};

/// Of a learned slope of ReluFunction: what an element adds to its gradient.
template <typename Dtype>
struct SlopeGradient {
  CAFFE_HOST_DEVICE static Dtype Of(Dtype x, Dtype dy) { return dy * std::min(x, Dtype(0)); }
};

/// What dropout does to a value and, alike, to its gradient: `kept` is 1 or 0.
template <typename Dtype>
struct DropoutFunction {
  Dtype scale;
  CAFFE_HOST_DEVICE Dtype operator()(Dtype x, unsigned int kept) const { return x * kept * scale; }
};

/// Of y = x sigmoid(beta x), by y and the value of the sigmoid.
template <typename Dtype>
struct SwishGradient {
  Dtype beta;
  CAFFE_HOST_DEVICE Dtype Derivative(Dtype y, Dtype gate) const { return beta * y + gate * (1 - beta * y); }
};

template <typename Dtype>
struct ThresholdFunction {
  Dtype threshold;
  CAFFE_HOST_DEVICE Dtype Forward(Dtype x) const { return Dtype(x > threshold); }
};

}  // namespace caffe

#endif  // CAFFE_UTIL_NEURON_FUNCTIONS_HPP_
