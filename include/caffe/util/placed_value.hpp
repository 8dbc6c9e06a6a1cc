#ifndef CAFFE_UTIL_PLACED_VALUE_HPP_
#define CAFFE_UTIL_PLACED_VALUE_HPP_

#include "caffe/util/device_alternate.hpp"

namespace caffe {

/// A number and where it stands, in the order of ArgMax, for all devices.
template <typename Dtype>
struct PlacedValue {
  Dtype value;
  int place;
  /// A strict order even among NaNs, which sorting relies on: NaN, then large before small, then last before
  /// first.
  CAFFE_HOST_DEVICE bool ComesBefore(const PlacedValue& other) const {
    const bool nan = value != value, other_nan = other.value != other.value;
    if (nan != other_nan) return nan;
    if (!nan && value != other.value) return value > other.value;
    return place > other.place;
  }
};

}  // namespace caffe

#endif  // CAFFE_UTIL_PLACED_VALUE_HPP_
