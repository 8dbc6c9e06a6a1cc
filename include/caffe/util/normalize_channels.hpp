#ifndef CAFFE_UTIL_NORMALIZE_CHANNELS_HPP_
#define CAFFE_UTIL_NORMALIZE_CHANNELS_HPP_

#include <algorithm>
#include <vector>

#include "caffe/util/channel_functions.hpp"
#include "caffe/util/channel_loops.hpp"

namespace caffe {

/// Mean and variance of the channels in [first, last) of x.
template <typename Dtype>
void ChannelMoments(const ChannelExtent& extent, int first, int last, const Dtype* x, Dtype* mean,
                    Dtype* variance) {
  const Dtype per_channel = static_cast<Dtype>(extent.outer) * extent.inner;
  // The mean is subtracted from values near it, so it needs all the digits it can have.
  std::vector<double> sums(last);
  AddChannelSums(extent, first, last, ChannelValues<Dtype>{x}, sums.data());
  for (int c = first; c < last; ++c) mean[c] = static_cast<Dtype>(sums[c] / per_channel);
  // Two passes: the difference of mean square and squared mean would lose the digits of a small variance.
  std::fill(variance + first, variance + last, Dtype(0));
  AddChannelSums(extent, first, last, SquaredDistances<Dtype>{x, mean}, variance);
  for (int c = first; c < last; ++c) variance[c] /= per_channel;
}

/// y = (x - mean) / deviation for the channels in [first, last), and the same into a second place where one
/// is given. y may be x.
template <typename Dtype>
void NormalizeChannels(const ChannelExtent& extent, int first, int last, const Dtype* x, const Dtype* mean,
                       const Dtype* deviation, Dtype* y, Dtype* second = nullptr) {
  const NormalizedChannels<Dtype> normalized = {x, mean, deviation};
  if (second) {
    MapChannels(extent, first, last, KeptNormalizedChannels<Dtype>{normalized, second}, y);
  } else {
    MapChannels(extent, first, last, normalized, y);
  }
}

/// See NormalizedGradients; dx may be dy.
template <typename Dtype>
void NormalizedGradient(const ChannelExtent& extent, const Dtype* y, const Dtype* deviation, const Dtype* dy,
                        Dtype* dx) {
  const Dtype per_channel = static_cast<Dtype>(extent.outer) * extent.inner;
  std::vector<Dtype> sum_dy(extent.channels), sum_dy_y(extent.channels);
  const NormalizedGradients<Dtype, ChannelValues<Dtype>> gradients = {
      dy, {y}, sum_dy.data(), sum_dy_y.data(), per_channel, deviation};
  ForChannels(extent, [&](int first, int last) {
    AddChannelSums(extent, first, last, ChannelValues<Dtype>{dy}, sum_dy.data());
    AddChannelSums(extent, first, last, ChannelProducts<Dtype>{dy, y}, sum_dy_y.data());
    MapChannels(extent, first, last, gradients, dx);
  });
}

/// The gradient of y = x - mean with respect to x, where the mean is that of each channel of x:
/// dx = dy - mean(dy). dx may be dy.
template <typename Dtype>
void CenteredGradient(const ChannelExtent& extent, const Dtype* dy, Dtype* dx) {
  const Dtype per_channel = static_cast<Dtype>(extent.outer) * extent.inner;
  std::vector<Dtype> sums(extent.channels);
  ForChannels(extent, [&](int first, int last) {
    AddChannelSums(extent, first, last, ChannelValues<Dtype>{dy}, sums.data());
    MapChannels(extent, first, last, CenteredChannels<Dtype>{dy, sums.data(), per_channel}, dx);
  });
}

}  // namespace caffe

#endif  // CAFFE_UTIL_NORMALIZE_CHANNELS_HPP_
