#ifndef CAFFE_UTIL_NORMALIZE_CHANNELS_HPP_
#define CAFFE_UTIL_NORMALIZE_CHANNELS_HPP_

#include <algorithm>
#include <vector>

#include "caffe/util/channel_loops.hpp"

namespace caffe {

/// Mean and variance of the channels in [first, last) of x.
template <typename Dtype>
void ChannelMoments(const ChannelExtent& extent, int first, int last, const Dtype* x, Dtype* mean,
                    Dtype* variance) {
  const Dtype per_channel = static_cast<Dtype>(extent.outer) * extent.inner;
  // The mean is subtracted from values near it, so it needs all the digits it can have.
  std::vector<double> sums(last);
  AddChannelSums(extent, first, last, [x](int) { return [x](int64_t i) { return x[i]; }; }, sums.data());
  for (int c = first; c < last; ++c) mean[c] = static_cast<Dtype>(sums[c] / per_channel);
  // Two passes: the difference of mean square and squared mean would lose the digits of a small variance.
  std::fill(variance + first, variance + last, Dtype(0));
  AddChannelSums(
      extent, first, last,
      [x, mean](int c) { return [x, m = mean[c]](int64_t i) { return (x[i] - m) * (x[i] - m); }; }, variance);
  for (int c = first; c < last; ++c) variance[c] /= per_channel;
}

/// y = (x - mean) / deviation for the channels in [first, last), and the same into a second place where one
/// is given. y may be x.
template <typename Dtype>
void NormalizeChannels(const ChannelExtent& extent, int first, int last, const Dtype* x, const Dtype* mean,
                       const Dtype* deviation, Dtype* y, Dtype* second = nullptr) {
  if (second) {
    MapChannels(
        extent, first, last,
        [=](int c) {
          return [x, second, m = mean[c], d = deviation[c]](int64_t i) { return second[i] = (x[i] - m) / d; };
        },
        y);
  } else {
    MapChannels(
        extent, first, last,
        [=](int c) { return [x, m = mean[c], d = deviation[c]](int64_t i) { return (x[i] - m) / d; }; }, y);
  }
}

/// The gradient of y = (x - mean) / deviation with respect to x, where mean and deviation are those of each
/// channel of x: dx = (dy - mean(dy) - y mean(dy y)) / deviation. dx may be dy.
template <typename Dtype>
void NormalizedGradient(const ChannelExtent& extent, const Dtype* y, const Dtype* deviation, const Dtype* dy,
                        Dtype* dx) {
  const Dtype per_channel = static_cast<Dtype>(extent.outer) * extent.inner;
  std::vector<Dtype> mean_dy(extent.channels), mean_dy_y(extent.channels);
  ForChannels(extent, [&](int first, int last) {
    AddChannelSums(
        extent, first, last, [dy](int) { return [dy](int64_t i) { return dy[i]; }; }, mean_dy.data());
    AddChannelSums(
        extent, first, last, [dy, y](int) { return [dy, y](int64_t i) { return dy[i] * y[i]; }; },
        mean_dy_y.data());
    MapChannels(
        extent, first, last,
        [=, &mean_dy, &mean_dy_y](int c) {
          return [dy, y, a = mean_dy[c] / per_channel, b = mean_dy_y[c] / per_channel,
                  d = deviation[c]](int64_t i) { return (dy[i] - a - y[i] * b) / d; };
        },
        dx);
  });
}

/// The gradient of y = x - mean with respect to x, where the mean is that of each channel of x:
/// dx = dy - mean(dy). dx may be dy.
template <typename Dtype>
void CenteredGradient(const ChannelExtent& extent, const Dtype* dy, Dtype* dx) {
  const Dtype per_channel = static_cast<Dtype>(extent.outer) * extent.inner;
  std::vector<Dtype> sums(extent.channels);
  ForChannels(extent, [&](int first, int last) {
    AddChannelSums(extent, first, last, [dy](int) { return [dy](int64_t i) { return dy[i]; }; }, sums.data());
    MapChannels(
        extent, first, last,
        [=, &sums](int c) { return [dy, mean = sums[c] / per_channel](int64_t i) { return dy[i] - mean; }; },
        dx);
  });
}

}  // namespace caffe

#endif  // CAFFE_UTIL_NORMALIZE_CHANNELS_HPP_
