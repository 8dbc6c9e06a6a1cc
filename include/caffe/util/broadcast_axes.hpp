#ifndef CAFFE_UTIL_BROADCAST_AXES_HPP_
#define CAFFE_UTIL_BROADCAST_AXES_HPP_

#include "caffe/blob.hpp"
#include "caffe/util/channel_loops.hpp"

namespace caffe {

/// Shape of a parameter that covers num_axes axes of the bottom from `axis` on (-1: all), for Scale and Bias.
/// @throws Error where the bottom has fewer.
template <typename Dtype>
vector<int> CoveredShape(const Blob<Dtype>& bottom, int axis, int num_axes) {
  const int first = bottom.CanonicalAxisIndex(axis);
  CHECK_GE(num_axes, -1) << "num_axes must be -1 (all axes) or not negative";
  const int covered = num_axes == -1 ? bottom.num_axes() - first : num_axes;
  CHECK_LE(covered, bottom.num_axes() - first)
      << "axis " << axis << " and num_axes " << num_axes << " reach past the last axis of the bottom, "
      << bottom.shape_string();
  return vector<int>(bottom.shape().begin() + first, bottom.shape().begin() + first + covered);
}

/// The bottom as outer x (the axes that `factor` covers from `axis` on) x inner; a scalar covers none.
/// @throws Error where the dimensions differ.
template <typename Dtype>
ChannelExtent BroadcastExtent(const Blob<Dtype>& bottom, const Blob<Dtype>& factor, int axis) {
  const int first = factor.num_axes() == 0 ? 0 : bottom.CanonicalAxisIndex(axis);
  CHECK_GE(bottom.num_axes(), first + factor.num_axes())
      << "a factor of shape " << factor.shape_string() << " reaches past the last axis of the bottom, "
      << bottom.shape_string() << ", from axis " << first << " on";
  for (int i = 0; i < factor.num_axes(); ++i) {
    CHECK_EQ(bottom.shape(first + i), factor.shape(i))
        << "axis " << first + i << " of the bottom, " << bottom.shape_string() << ", and axis " << i
        << " of the factor, " << factor.shape_string() << ", must agree";
  }
  return {bottom.count(0, first), factor.count(), bottom.count(first + factor.num_axes())};
}

}  // namespace caffe

#endif  // CAFFE_UTIL_BROADCAST_AXES_HPP_
