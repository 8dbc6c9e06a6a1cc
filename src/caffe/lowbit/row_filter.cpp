#include "caffe/lowbit/row_filter.hpp"

namespace caffe {
namespace lowbit {

namespace {

template <int kTaps>
void Transform(const float* weights, float* at_points) {
  for (int point = 0; point < RowFilter<kTaps>::kPoints; ++point) {
    double sum = 0;
    for (int tap = 0; tap < kTaps; ++tap) sum += RowFilter<kTaps>::kWeights[point][tap] * weights[tap];
    at_points[point] = static_cast<float>(sum);
  }
}

}  // namespace

void TransformTaps(int taps, const float* weights, float* at_points) {
  if (taps == 3) return Transform<3>(weights, at_points);
  Transform<4>(weights, at_points);
}

}  // namespace lowbit
}  // namespace caffe
