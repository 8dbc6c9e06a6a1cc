#ifndef CAFFE_UTIL_UPDATE_RULES_HPP_
#define CAFFE_UTIL_UPDATE_RULES_HPP_

#include <cmath>
#include <variant>

#include "caffe/util/device_alternate.hpp"

namespace caffe {

/**
 * @file
 * What the solvers compute for one weight: each rule takes the gradient and the weight's state, changes the
 * state and returns what is to be subtracted from the weight. See sgd_solvers.hpp for formulas and sources.
 */

template <typename Dtype>
struct SgdRule {
  static constexpr int kStates = 1;
  Dtype rate, momentum;
  CAFFE_HOST_DEVICE Dtype operator()(Dtype gradient, Dtype* history) const {
    *history = momentum * *history + rate * gradient;
    return *history;
  }
};

template <typename Dtype>
struct NesterovRule {
  static constexpr int kStates = 1;
  Dtype rate, momentum;
  CAFFE_HOST_DEVICE Dtype operator()(Dtype gradient, Dtype* history) const {
    const Dtype before = *history;
    *history = momentum * before + rate * gradient;
    return (1 + momentum) * *history - momentum * before;
  }
};

template <typename Dtype>
struct AdaGradRule {
  static constexpr int kStates = 1;
  Dtype rate, delta;
  CAFFE_HOST_DEVICE Dtype operator()(Dtype gradient, Dtype* history) const {
    *history += gradient * gradient;
    return rate * gradient / (std::sqrt(*history) + delta);
  }
};

template <typename Dtype>
struct RMSPropRule {
  static constexpr int kStates = 1;
  Dtype rate, decay, delta;
  CAFFE_HOST_DEVICE Dtype operator()(Dtype gradient, Dtype* history) const {
    *history = decay * *history + (1 - decay) * gradient * gradient;
    return rate * gradient / (std::sqrt(*history) + delta);
  }
};

template <typename Dtype>
struct AdaDeltaRule {
  static constexpr int kStates = 2;
  Dtype rate, momentum, delta;
  CAFFE_HOST_DEVICE Dtype operator()(Dtype gradient, Dtype* gradients, Dtype* updates) const {
    *gradients = momentum * *gradients + (1 - momentum) * gradient * gradient;
    const Dtype update = gradient * std::sqrt((*updates + delta) / (*gradients + delta));
    *updates = momentum * *updates + (1 - momentum) * update * update;
    return rate * update;
  }
};

/// `rate` has the correction for the averages' start at zero in it.
template <typename Dtype>
struct AdamRule {
  static constexpr int kStates = 2;
  Dtype rate, beta1, beta2, delta;
  CAFFE_HOST_DEVICE Dtype operator()(Dtype gradient, Dtype* mean, Dtype* square) const {
    *mean = beta1 * *mean + (1 - beta1) * gradient;
    *square = beta2 * *square + (1 - beta2) * gradient * gradient;
    return rate * *mean / (std::sqrt(*square) + delta);
  }
};

/// The gradient with that of decay / 2 times the sum of squares.
template <typename Dtype>
struct L2Penalty {
  Dtype decay;
  CAFFE_HOST_DEVICE Dtype operator()(Dtype gradient, const Dtype* weight) const {
    return gradient + decay * *weight;
  }
};

/// The gradient with that of decay times the sum of magnitudes; 0 at a weight of 0.
template <typename Dtype>
struct L1Penalty {
  Dtype decay;
  CAFFE_HOST_DEVICE Dtype operator()(Dtype gradient, const Dtype* weight) const {
    return gradient + decay * static_cast<Dtype>((*weight > 0) - (*weight < 0));
  }
};

/// The rule of any solver.
template <typename Dtype>
using UpdateRule = std::variant<SgdRule<Dtype>, NesterovRule<Dtype>, AdaGradRule<Dtype>, RMSPropRule<Dtype>,
                                AdaDeltaRule<Dtype>, AdamRule<Dtype>>;

// What is done to a weight and its gradient: parts of a step, and the whole. kStates is how many states of
// the weight it takes.

template <typename Penalty>
struct PenaltyStep {
  static constexpr int kStates = 0;
  Penalty penalty;
  template <typename Dtype>
  CAFFE_HOST_DEVICE void operator()(Dtype* weight, Dtype* diff) const {
    *diff = penalty(*diff, weight);
  }
};

template <typename Rule>
struct RuleStep {
  static constexpr int kStates = Rule::kStates;
  Rule rule;
  template <typename Dtype, typename... State>
  CAFFE_HOST_DEVICE void operator()(Dtype*, Dtype* diff, State*... state) const {
    *diff = rule(*diff, state...);
  }
};

/// The gradient is scaled, gets the penalties', goes through the rule and is subtracted.
template <typename Dtype, typename Rule>
struct WholeStep {
  static constexpr int kStates = Rule::kStates;
  Dtype scale;
  L1Penalty<Dtype> l1;
  L2Penalty<Dtype> l2;
  Rule rule;
  template <typename... State>
  CAFFE_HOST_DEVICE void operator()(Dtype* weight, Dtype* diff, State*... state) const {
    *diff = rule(l2(l1(scale * *diff, weight), weight), state...);
    *weight -= *diff;
  }
};

}  // namespace caffe

#endif  // CAFFE_UTIL_UPDATE_RULES_HPP_
