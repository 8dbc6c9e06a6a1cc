#include "caffe/lowbit/window_filter.hpp"

namespace caffe {
namespace lowbit {

std::vector<double> FilterPoints::TapFactors(int taps) const {
  std::vector<double> factors;
  for (int point = 0; point < count - 1; ++point) {
    // Lagrange's: what goes through the points, the inputs' transform multiplies by it.
    double factor = 1;
    for (int other = 0; other < count - 1; ++other) {
      if (other != point) factor /= finite[point] - finite[other];
    }
    for (int tap = 0; tap < taps; ++tap, factor *= finite[point]) factors.push_back(factor);
  }
  // At infinity there is the last tap alone.
  factors.resize(factors.size() + taps);
  factors.back() = 1;
  return factors;
}

}  // namespace lowbit
}  // namespace caffe
