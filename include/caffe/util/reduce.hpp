#ifndef CAFFE_UTIL_REDUCE_HPP_
#define CAFFE_UTIL_REDUCE_HPP_

#include <cstdint>

#include "caffe/util/device_alternate.hpp"

namespace caffe {

/// The sum of f(i) for i in [0, n), added up in a fixed number of interleaved partial sums: vectorizable,
/// more accurate than one running sum, and the same on every machine.
template <typename Dtype, typename Function>
inline Dtype SumOver(int64_t n, Function f) {
  constexpr int kLanes = 16;
  Dtype partial[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) partial[lane] += f(i + lane);
  }
  for (int lane = 0; i + lane < n; ++lane) partial[lane] += f(i + lane);
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int lane = 0; lane < width; ++lane) partial[lane] += partial[lane + width];
  }
  return partial[0];
}

}  // namespace caffe

#endif  // CAFFE_UTIL_REDUCE_HPP_
