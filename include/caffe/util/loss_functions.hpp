#ifndef CAFFE_UTIL_LOSS_FUNCTIONS_HPP_
#define CAFFE_UTIL_LOSS_FUNCTIONS_HPP_

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "caffe/util/device_alternate.hpp"
#include "caffe/util/item_index.hpp"

/// @file
/// What the losses and the accuracy compute of one score and one label, for all devices.

namespace caffe {

/// Smallest argument of a logarithm in the losses.
const float kLOG_THRESHOLD = 1e-20;

/// What a label asks for: rule(label) is its class, kIgnored or kWrong.
template <typename Dtype>
struct LabelRule {
  static constexpr int kWrong = -1, kIgnored = -2;
  int classes;
  bool has_ignore_label;
  int ignore_label;
  CAFFE_HOST_DEVICE int operator()(Dtype label) const {
    return has_ignore_label && label == ignore_label ? kIgnored : IndexIn(label, classes);
  }
};

/// log(p) for a probability, that of kLOG_THRESHOLD below it. NaN stays NaN.
template <typename Dtype>
CAFFE_HOST_DEVICE Dtype ClampedLog(Dtype p) {
  return std::log(p < Dtype(kLOG_THRESHOLD) ? Dtype(kLOG_THRESHOLD) : p);
}

/// Of EuclideanLoss, by the sum of the squared differences of `num` items.
template <typename Dtype>
struct EuclideanLossFunction {
  static Dtype Loss(Dtype sum, int num) { return sum / num / Dtype(2); }
  /// The gradient of bottom 0 or 1 is this factor times the differences.
  static Dtype GradientFactor(int bottom, Dtype weight, int num) {
    return (bottom == 0 ? 1 : -1) * weight / num;
  }
};

/// Of SoftmaxWithLoss, by a probability of the softmax; the gradient is that with respect to the score.
template <typename Dtype>
struct SoftmaxLossFunction {
  /// `p` is that of the label's class. Not max(): a NaN must come through.
  CAFFE_HOST_DEVICE static Dtype Loss(Dtype p) { return -std::log(p < Dtype(FLT_MIN) ? Dtype(FLT_MIN) : p); }
  CAFFE_HOST_DEVICE static Dtype Gradient(Dtype p, bool is_label) { return p - Dtype(is_label); }
};

/// Of InfogainLoss, by a probability and its element `h` of the label's row of H, which adds up to `row_sum`.
template <typename Dtype>
struct InfogainFunction {
  CAFFE_HOST_DEVICE static Dtype Loss(Dtype p, Dtype h) { return -h * ClampedLog(p); }
  CAFFE_HOST_DEVICE static Dtype Gradient(Dtype p, Dtype h, Dtype row_sum) { return p * row_sum - h; }
};

/// Of MultinomialLogisticLoss, by the probability of the label's class.
template <typename Dtype>
struct MultinomialLossFunction {
  CAFFE_HOST_DEVICE static Dtype Loss(Dtype p) { return -ClampedLog(p); }
  CAFFE_HOST_DEVICE static Dtype Gradient(Dtype p, Dtype weight) {
    return -weight / std::max(p, Dtype(kLOG_THRESHOLD));
  }
};

/// Of SigmoidCrossEntropyLoss, by a score and its target.
template <typename Dtype>
struct SigmoidCrossEntropyFunction {
  bool has_ignore_label;
  int ignore_label;
  CAFFE_HOST_DEVICE bool Ignores(Dtype target) const {
    return has_ignore_label && static_cast<int>(target) == ignore_label;
  }
  /// log(1 + e^-|x|) cannot overflow.
  CAFFE_HOST_DEVICE static Dtype Loss(Dtype x, Dtype target) {
    return x * ((x >= 0) - target) + std::log1p(std::exp(-std::fabs(x)));
  }
  CAFFE_HOST_DEVICE static Dtype Gradient(Dtype probability, Dtype target) { return probability - target; }
};

/// Of HingeLoss, by a score, its target +1 or -1, and the margin that it misses.
template <typename Dtype>
struct HingeFunction {
  bool squared;
  CAFFE_HOST_DEVICE static Dtype Target(bool is_label) { return is_label ? 1 : -1; }
  // In this order a NaN comes through.
  CAFFE_HOST_DEVICE static Dtype Margin(Dtype target, Dtype x) { return std::max(1 - target * x, Dtype(0)); }
  CAFFE_HOST_DEVICE Dtype Loss(Dtype margin) const { return squared ? margin * margin : margin; }
  CAFFE_HOST_DEVICE Dtype Gradient(Dtype target, Dtype margin, Dtype weight) const {
    return -target * weight * (squared ? 2 * margin : Dtype(margin > 0));
  }
};

/// Of Accuracy, by how many scores are at least as high as the label's, which is one of them unless it is
/// NaN.
struct TopKRule {
  int top_k;
  CAFFE_HOST_DEVICE bool IsHit(int at_least_as_high) const {
    return at_least_as_high >= 1 && at_least_as_high <= top_k;
  }
  template <typename Dtype>
  CAFFE_HOST_DEVICE static Dtype Accuracy(int hits, int count) {
    return count == 0 ? Dtype(0) : static_cast<Dtype>(hits) / count;
  }
};

}  // namespace caffe

#endif  // CAFFE_UTIL_LOSS_FUNCTIONS_HPP_
