#ifndef CAFFE_LOWBIT_NORMALIZED_HPP_
#define CAFFE_LOWBIT_NORMALIZED_HPP_

#include <cmath>

#include "caffe/lowbit/host_device.hpp"

namespace caffe {
namespace lowbit {

/// Local response normalization of x, with the sum of the squares around it: x (k + alpha mean)^-beta.
struct Normalization {
  float alpha, beta, k;
  /// Of the squares, those outside included.
  float count;

  HWGQ_HOST_DEVICE float operator()(float x, float sum) const {
    return x * powf(k + alpha / count * sum, -beta);
  }
};

/// From a stage's array of alpha, beta and k.
inline Normalization MakeNormalization(const float* parameters, bool within, int size) {
  const float side = static_cast<float>(size);
  return {parameters[0], parameters[1], within ? 1 : parameters[2], within ? side * side : side};
}

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_NORMALIZED_HPP_
