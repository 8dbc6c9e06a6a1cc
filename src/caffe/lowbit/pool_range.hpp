#ifndef CAFFE_LOWBIT_POOL_RANGE_HPP_
#define CAFFE_LOWBIT_POOL_RANGE_HPP_

#include "caffe/lowbit/host_device.hpp"

namespace caffe {
namespace lowbit {

/// A pooling's window along one axis, and how much of it Caffe's mean counts: padding within, but none that
/// only the rounding of the size up brings in.
struct PoolRange {
  int begin, end, counted;
};

HWGQ_HOST_DEVICE inline PoolRange PoolRangeAt(int position, int kernel, int stride, int pad, int size) {
  const int begin = position * stride - pad;
  const int end = begin + kernel < size + pad ? begin + kernel : size + pad;
  return {begin > 0 ? begin : 0, end < size ? end : size, end - begin};
}

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_POOL_RANGE_HPP_
