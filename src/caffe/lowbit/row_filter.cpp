#include "caffe/lowbit/row_filter.hpp"

namespace caffe {
namespace lowbit {

void TransformTaps(int taps, const float* weights, float at_points[kPoints]) {
  for (int i = 0; i < kPoints - 1; ++i) {
    const double point = kFinitePoints[i];
    double value = 0, scale = 1;
    for (int tap = taps - 1; tap >= 0; --tap) value = value * point + weights[tap];
    // Lagrange's: what goes through the points, the inputs' transform multiplies by it.
    for (int other = 0; other < kPoints - 1; ++other) {
      if (other != i) scale *= point - kFinitePoints[other];
    }
    at_points[i] = static_cast<float>(value / scale);
  }
  at_points[kPoints - 1] = weights[taps - 1];
}

}  // namespace lowbit
}  // namespace caffe
