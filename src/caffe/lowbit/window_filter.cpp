#include "caffe/lowbit/window_filter.hpp"

namespace caffe {
namespace lowbit {

double FilterPoints::TapFactor(int point, int taps, int tap) const {
  if (point == count - 1) return tap == taps - 1 ? 1 : 0;
  double factor = 1;
  for (int power = 0; power < tap; ++power) factor *= finite[point];
  // Lagrange's: what goes through the points, the inputs' transform multiplies by it.
  for (int other = 0; other < count - 1; ++other) {
    if (other != point) factor /= finite[point] - finite[other];
  }
  return factor;
}

}  // namespace lowbit
}  // namespace caffe
