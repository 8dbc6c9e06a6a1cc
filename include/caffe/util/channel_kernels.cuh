#ifndef CAFFE_UTIL_CHANNEL_KERNELS_CUH_
#define CAFFE_UTIL_CHANNEL_KERNELS_CUH_

/// @file
/// The loops of channel_loops.hpp and normalize_channels.hpp on the GPU, for the functions of
/// channel_functions.hpp.

#include <algorithm>
#include <cstdint>

#include "caffe/util/channel_functions.hpp"
#include "caffe/util/channel_loops.hpp"
#include "caffe/util/gpu_launch.cuh"
#include "caffe/util/gpu_map.cuh"
#include "caffe/util/int_divisor.hpp"

namespace caffe {

/// Two sums over the same channel.
template <typename Dtype>
struct SumPair {
  Dtype first, second;

  CAFFE_HOST_DEVICE SumPair operator+(const SumPair& other) const {
    return {first + other.first, second + other.second};
  }
};

/// The values of two functions of channels, numbers or pairs of them.
template <typename Value, typename First, typename Second>
struct ChannelPairs {
  First first;
  Second second;

  struct OfChannel {
    typename First::OfChannel first;
    typename Second::OfChannel second;
    CAFFE_HOST_DEVICE SumPair<Value> operator()(int64_t i) const { return {first(i), second(i)}; }
  };
  CAFFE_HOST_DEVICE OfChannel operator()(int c) const { return {first(c), second(c)}; }
};

/// Where the sums of channels go, or null; `add`: to what is there.
template <typename Dtype>
struct StoreSum {
  Dtype* sums;
  bool add;

  CAFFE_HOST_DEVICE void operator()(int c, Dtype sum) const {
    if (sums) sums[c] = add ? sums[c] + sum : sum;
  }
};

/// Of pairs, which may be pairs of pairs.
template <typename Dtype, typename Stored = StoreSum<Dtype>>
struct StoreSumPair {
  Stored first, second;

  template <typename Sums>
  CAFFE_HOST_DEVICE void operator()(int c, const Sums& sums) const {
    first(c, sums.first);
    second(c, sums.second);
  }
};

/// Keeps normalized values where there is room for them.
template <typename Dtype>
struct KeepNormalized {
  Dtype* kept;
  BF16* kept_bf16;

  CAFFE_HOST_DEVICE void operator()(int i, Dtype value) const {
    if (kept) kept[i] = value;
    if (kept_bf16) kept_bf16[i] = ToBF16(static_cast<float>(value));
  }
};

namespace channel_kernels {

/// The channel of an element.
struct ChannelOf {
  IntDivisor inner, channels;

  explicit ChannelOf(const ChannelExtent& extent)
      : inner(std::max(extent.inner, 1)), channels(extent.channels) {}
  __device__ int operator()(int i) const {
    int channel = inner.Quotient(i);
    return channels.Split(&channel);
  }
};

template <typename Function>
struct MapChannel {
  ChannelOf channel_of;
  Function f;

  __device__ auto operator()(int i) const { return f(channel_of(i))(i); }
};

/// Positions of the elements of a channel.
struct ChannelPositions {
  IntDivisor inner;
  int inner_size, channels;

  explicit ChannelPositions(const ChannelExtent& extent)
      : inner(std::max(extent.inner, 1)), inner_size(extent.inner), channels(extent.channels) {}
  CAFFE_HOST_DEVICE int Of(int channel, int i) const {
    const int item = inner.Quotient(i);
    return (item * channels + channel) * inner_size + (i - item * inner_size);
  }
};

template <typename Function>
struct ValueOfChannel {
  ChannelPositions positions;
  Function f;

  __device__ auto operator()(int channel, int i) const { return f(channel)(positions.Of(channel, i)); }
};

/// A function of channels, and its product with another one.
template <typename Dtype, typename Y, typename Dy>
struct GradientPairs {
  Dy dy;
  Y y;

  struct OfChannel {
    typename Dy::OfChannel dy;
    typename Y::OfChannel y;
    CAFFE_HOST_DEVICE SumPair<Dtype> operator()(int64_t i) const {
      const Dtype gradient = dy(i);
      return {gradient, gradient * y(i)};
    }
  };
  CAFFE_HOST_DEVICE OfChannel operator()(int c) const { return {dy(c), y(c)}; }
};

/// Number, mean and sum of squared distances from the mean of some values.
template <typename Dtype>
struct Moments {
  int count;
  Dtype mean, squares;
};

/// Those of both: the pairwise formula of Chan, Golub and LeVeque (1983), which loses no digits to the mean.
template <typename Dtype>
struct CombineMoments {
  CAFFE_HOST_DEVICE Moments<Dtype> operator()(const Moments<Dtype>& a, const Moments<Dtype>& b) const {
    if (b.count == 0) return a;
    const int count = a.count + b.count;
    const Dtype share = static_cast<Dtype>(b.count) / static_cast<Dtype>(count);
    const Dtype distance = b.mean - a.mean;
    return {count, a.mean + distance * share,
            a.squares + b.squares + distance * distance * share * static_cast<Dtype>(a.count)};
  }
};

/// Of a few elements of a channel at a time, whose moments cost less than combining each: those `pieces`
/// apart, so that threads read neighbours at once. Relative to the channel's first element, so that a mean
/// far from 0 costs no digits.
template <typename Dtype>
struct MomentsOfChannel {
  static constexpr int kElements = 4;
  ChannelPositions positions;
  int size, pieces;
  const Dtype* x;

  CAFFE_HOST_DEVICE Dtype Origin(int channel) const { return x[channel * positions.inner_size]; }
  CAFFE_HOST_DEVICE Moments<Dtype> operator()(int channel, int piece) const {
    const Dtype origin = Origin(channel);
    const int count = (size - 1 - piece) / pieces + 1;
    Dtype values[kElements];
    Dtype sum = 0;
    for (int i = 0; i < kElements; ++i) {
      values[i] = i < count ? x[positions.Of(channel, piece + i * pieces)] - origin : Dtype(0);
      sum += values[i];
    }
    const Dtype mean = sum / static_cast<Dtype>(count);
    Dtype squares = 0;
    for (int i = 0; i < kElements; ++i) {
      if (i < count) squares += (values[i] - mean) * (values[i] - mean);
    }
    return {count, mean, squares};
  }
};

template <typename Dtype, typename Store>
struct StoreMoments {
  MomentsOfChannel<Dtype> of_channel;
  Store store;

  __device__ void operator()(int channel, const Moments<Dtype>& moments) const {
    store(channel, of_channel.Origin(channel) + moments.mean,
          moments.squares / static_cast<Dtype>(moments.count));
  }
};

}  // namespace channel_kernels

/// to[i] = f(c)(i) for all positions i of all channels c. `to` may be an array that f reads.
template <typename Dtype, typename Function>
void GpuMapChannels(const ChannelExtent& extent, const Function& f, Dtype* to) {
  const int64_t count = static_cast<int64_t>(extent.outer) * extent.channels * extent.inner;
  if (count == 0) return;
  GpuMap(count, channel_kernels::MapChannel<Function>{channel_kernels::ChannelOf(extent), f}, to);
}

/// store(c, the sum of f(c)(i) over all positions i of channel c).
template <typename Value, typename Function, typename Store>
void GpuSumChannels(const ChannelExtent& extent, const Function& f, const Store& store) {
  GpuSumRows<Value>(extent.channels, extent.outer * extent.inner,
                    channel_kernels::ValueOfChannel<Function>{channel_kernels::ChannelPositions(extent), f},
                    store);
}

/// store(c, mean, variance) for each channel of x, which are not empty.
template <typename Dtype, typename Store>
void GpuChannelMoments(const ChannelExtent& extent, const Dtype* x, const Store& store) {
  using namespace channel_kernels;
  const int size = extent.outer * extent.inner;
  const int pieces = (size - 1) / MomentsOfChannel<Dtype>::kElements + 1;
  const MomentsOfChannel<Dtype> of_channel = {ChannelPositions(extent), size, pieces, x};
  GpuReduceRows(extent.channels, pieces, of_channel, CombineMoments<Dtype>(), Moments<Dtype>{0, 0, 0},
                StoreMoments<Dtype, Store>{of_channel, store});
}

/// See NormalizedGradients; dx may be what dy is read from.
template <typename Dtype, typename Y, typename Dy>
void GpuNormalizedGradient(const ChannelExtent& extent, const Y& y, const Dtype* deviation, const Dy& dy,
                           Dtype* dx) {
  const GpuArray<Dtype> sums(static_cast<size_t>(2) * extent.channels);
  Dtype *const sum_dy = sums.get(), *const sum_dy_y = sum_dy + extent.channels;
  GpuSumChannels<SumPair<Dtype>>(extent, channel_kernels::GradientPairs<Dtype, Y, Dy>{dy, y},
                                 StoreSumPair<Dtype>{{sum_dy, false}, {sum_dy_y, false}});
  const Dtype per_channel = static_cast<Dtype>(extent.outer) * extent.inner;
  GpuMapChannels(extent, NormalizedGradients<Dtype, Y, Dy>{dy, y, sum_dy, sum_dy_y, per_channel, deviation},
                 dx);
}

/// x minus its channels' means; y may be x.
template <typename Dtype>
void GpuCenterChannels(const ChannelExtent& extent, const Dtype* x, Dtype* y) {
  const GpuArray<Dtype> sums(extent.channels);
  GpuSumChannels<Dtype>(extent, ChannelValues<Dtype>{x}, StoreSum<Dtype>{sums.get(), false});
  const Dtype per_channel = static_cast<Dtype>(extent.outer) * extent.inner;
  GpuMapChannels(extent, CenteredChannels<Dtype>{x, sums.get(), per_channel}, y);
}

}  // namespace caffe

#endif  // CAFFE_UTIL_CHANNEL_KERNELS_CUH_
