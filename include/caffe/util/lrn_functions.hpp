#ifndef CAFFE_UTIL_LRN_FUNCTIONS_HPP_
#define CAFFE_UTIL_LRN_FUNCTIONS_HPP_

#include <cmath>

#include "caffe/util/device_alternate.hpp"

namespace caffe {

/// The channels around channel c that its response is normalized by, and the other way round.
struct LrnWindow {
  int size;    ///< channels, c among them
  int before;  ///< of these before c

  CAFFE_HOST_DEVICE int begin(int c) const { return c < before ? 0 : c - before; }
  CAFFE_HOST_DEVICE int end(int c, int channels) const { return Least(c - before + size, channels); }
  /// The channels whose window holds c.
  CAFFE_HOST_DEVICE int users_begin(int c) const {
    const int after = size - 1 - before;
    return c < after ? 0 : c - after;
  }
  CAFFE_HOST_DEVICE int users_end(int c, int channels) const { return Least(c + before + 1, channels); }

 private:
  CAFFE_HOST_DEVICE static int Least(int a, int b) { return a < b ? a : b; }
};

/// Local response normalization across channels: y = x s^-beta with s = k + alpha / n sum of x^2, and
/// dx_c = dy_c s_c^-beta - 2 alpha beta / n x_c sum over j whose window holds c of dy_j y_j / s_j.
template <typename Dtype>
struct LrnFunction {
  Dtype alpha_over_size, beta, k;
  Dtype gradient_factor;  ///< 2 alpha beta / n

  /// What x adds to s, which starts at k.
  CAFFE_HOST_DEVICE Dtype Term(Dtype x) const { return alpha_over_size * x * x; }
  /// What x is multiplied by.
  CAFFE_HOST_DEVICE Dtype Factor(Dtype s) const { return std::pow(s, -beta); }
  CAFFE_HOST_DEVICE Dtype GradientTerm(Dtype dy, Dtype y, Dtype s) const { return dy * y / s; }
  CAFFE_HOST_DEVICE Dtype Gradient(Dtype dy, Dtype factor, Dtype x, Dtype sum) const {
    return dy * factor - gradient_factor * x * sum;
  }
};

}  // namespace caffe

#endif  // CAFFE_UTIL_LRN_FUNCTIONS_HPP_
