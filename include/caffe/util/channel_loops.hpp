#ifndef CAFFE_UTIL_CHANNEL_LOOPS_HPP_
#define CAFFE_UTIL_CHANNEL_LOOPS_HPP_

#include <algorithm>
#include <cstdint>

#include "caffe/util/device_alternate.hpp"
#include "caffe/util/parallel_for.hpp"
#include "caffe/util/reduce.hpp"

namespace caffe {

/// An array seen as outer x channels x inner, row-major: what layers with one number for each channel loop
/// over.
struct ChannelExtent {
  int outer, channels, inner;
};

/// Runs body(first, last) over ranges of channels, in parallel where the array is large.
template <typename Body>
void ForChannels(const ChannelExtent& extent, Body body) {
  const int64_t per_channel = static_cast<int64_t>(extent.outer) * extent.inner;
  ParallelFor(extent.channels, kElementGrain / std::max<int64_t>(per_channel, 1) + 1,
              [&](int64_t first, int64_t last) { body(static_cast<int>(first), static_cast<int>(last)); });
}

/**
 * @brief sums[c] += the sum of f(c)(i) over all positions i of the channels c in [first, last).
 *
 * f(c) is the function of a channel: what it needs of the channel it holds by value, so that the loop over
 * positions does not load it again. Goes through memory in order; where a channel is one number (inner 1),
 * the channels are what is contiguous.
 */
template <typename Dtype, typename Function>
CAFFE_TARGET_CLONES void AddChannelSums(ChannelExtent extent, int first, int last, Function f, Dtype* sums) {
  for (int n = 0; n < extent.outer; ++n) {
    const int64_t item = static_cast<int64_t>(n) * extent.channels;
    if (extent.inner == 1) {
      for (int c = first; c < last; ++c) sums[c] += f(c)(item + c);
      continue;
    }
    for (int c = first; c < last; ++c) {
      const int64_t start = (item + c) * extent.inner;
      const auto at = f(c);
      sums[c] += SumOver<Dtype>(extent.inner, [=](int64_t i) { return at(start + i); });
    }
  }
}

/// to[i] = f(c)(i) for all positions i of the channels c in [first, last), with f as in AddChannelSums.
template <typename Dtype, typename Function>
CAFFE_TARGET_CLONES void MapChannels(ChannelExtent extent, int first, int last, Function f, Dtype* to) {
  for (int n = 0; n < extent.outer; ++n) {
    const int64_t item = static_cast<int64_t>(n) * extent.channels;
    if (extent.inner == 1) {
      for (int c = first; c < last; ++c) to[item + c] = f(c)(item + c);
      continue;
    }
    for (int c = first; c < last; ++c) {
      const int64_t start = (item + c) * extent.inner;
      const auto at = f(c);
      for (int64_t i = start; i < start + extent.inner; ++i) to[i] = at(i);
    }
  }
}

}  // namespace caffe

#endif  // CAFFE_UTIL_CHANNEL_LOOPS_HPP_
