#ifndef CAFFE_UTIL_NORMALIZE_CHANNELS_HPP_
#define CAFFE_UTIL_NORMALIZE_CHANNELS_HPP_

#include <algorithm>
#include <vector>

#include "caffe/util/channel_functions.hpp"
#include "caffe/util/channel_loops.hpp"

namespace caffe {

/// Mean and variance of the channels in [first, last) of x, in one pass: those of a channel in one item are
/// those of values in the cache, and go into the whole's as Chan, Golub and LeVeque add them up ("Updating
/// Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979).
template <typename Dtype>
void ChannelMoments(const ChannelExtent& extent, int first, int last, const Dtype* x, Dtype* mean,
                    Dtype* variance) {
  const ChannelExtent item = {1, extent.channels, extent.inner};
  std::vector<double> means(last), squares(last), sums(last);
  std::vector<Dtype> distances(last), item_means(last);
  for (int n = 0; n < extent.outer; ++n) {
    const Dtype* values = x + static_cast<int64_t>(n) * extent.channels * extent.inner;
    std::fill(sums.begin(), sums.end(), 0);
    AddChannelSums(item, first, last, ChannelValues<Dtype>{values}, sums.data());
    for (int c = first; c < last; ++c) item_means[c] = static_cast<Dtype>(sums[c] / extent.inner);
    std::fill(distances.begin(), distances.end(), Dtype(0));
    AddChannelSums(item, first, last, SquaredDistances<Dtype>{values, item_means.data()}, distances.data());
    for (int c = first; c < last; ++c) {
      const double difference = item_means[c] - means[c];
      means[c] += difference / (n + 1);
      squares[c] += distances[c] + difference * difference * extent.inner * n / (n + 1);
    }
  }
  const double per_channel = static_cast<double>(extent.outer) * extent.inner;
  for (int c = first; c < last; ++c) {
    mean[c] = static_cast<Dtype>(means[c]);
    variance[c] = static_cast<Dtype>(squares[c] / per_channel);
  }
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

/// See NormalizedGradients; y may be kept as something smaller; dx may be dy, of which make(begin, count) is
/// called to make a part before it is read.
template <typename Dtype, typename Kept, typename Make>
void NormalizedGradient(const ChannelExtent& extent, const Kept* y, const Dtype* deviation, const Dtype* dy,
                        Dtype* dx, const Make& make) {
  const Dtype per_channel = static_cast<Dtype>(extent.outer) * extent.inner;
  std::vector<Dtype> sum_dy(extent.channels), sum_dy_y(extent.channels);
  const NormalizedGradients<Dtype, ChannelValues<Dtype, Kept>> gradients = {
      {dy}, {y}, sum_dy.data(), sum_dy_y.data(), per_channel, deviation};
  const ChannelExtent item = {1, extent.channels, extent.inner};
  ForChannels(extent, [&](int first, int last) {
    for (int64_t n = 0; n < extent.outer; ++n) {
      const int64_t start = n * extent.channels * extent.inner;
      make(start + static_cast<int64_t>(first) * extent.inner,
           static_cast<int64_t>(last - first) * extent.inner);
      AddChannelSums(item, first, last, ChannelValues<Dtype>{dy + start}, sum_dy.data());
      AddChannelSums(item, first, last, ChannelProducts<Dtype, Kept>{dy + start, y + start}, sum_dy_y.data());
    }
    MapChannels(extent, first, last, gradients, dx);
  });
}

template <typename Dtype>
void NormalizedGradient(const ChannelExtent& extent, const Dtype* y, const Dtype* deviation, const Dtype* dy,
                        Dtype* dx) {
  NormalizedGradient(extent, y, deviation, dy, dx, [](int64_t, int64_t) {});
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
