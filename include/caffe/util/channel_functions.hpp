#ifndef CAFFE_UTIL_CHANNEL_FUNCTIONS_HPP_
#define CAFFE_UTIL_CHANNEL_FUNCTIONS_HPP_

/// @file
/// What layers with numbers for each channel compute, for the loops over channels of the CPU
/// (channel_loops.hpp) and of the GPU (channel_kernels.cuh): f(c) is the function of a channel, which has the
/// channel's numbers by value, and f(c)(i) the value at position i of the whole array.

#include <cmath>
#include <cstdint>

#include "caffe/util/bf16.hpp"
#include "caffe/util/device_alternate.hpp"

namespace caffe {

/// x, which may be kept as something smaller
template <typename Dtype, typename Kept = Dtype>
struct ChannelValues {
  const Kept* x;

  struct OfChannel {
    const Kept* x;
    CAFFE_HOST_DEVICE Dtype operator()(int64_t i) const { return Widened(x[i]); }
  };
  CAFFE_HOST_DEVICE OfChannel operator()(int) const { return {x}; }
};

/// a b, where b may be kept as something smaller
template <typename Dtype, typename Kept = Dtype>
struct ChannelProducts {
  const Dtype* a;
  const Kept* b;

  struct OfChannel {
    const Dtype* a;
    const Kept* b;
    CAFFE_HOST_DEVICE Dtype operator()(int64_t i) const { return a[i] * Widened(b[i]); }
  };
  CAFFE_HOST_DEVICE OfChannel operator()(int) const { return {a, b}; }
};

/// x + bias of the channel
template <typename Dtype>
struct ShiftedChannels {
  const Dtype *x, *bias;

  struct OfChannel {
    const Dtype* x;
    Dtype bias;
    CAFFE_HOST_DEVICE Dtype operator()(int64_t i) const { return x[i] + bias; }
  };
  CAFFE_HOST_DEVICE OfChannel operator()(int c) const { return {x, bias[c]}; }
};

/// x times the channel's scale
template <typename Dtype>
struct ScaledChannels {
  const Dtype *x, *scale;

  struct OfChannel {
    const Dtype* x;
    Dtype scale;
    CAFFE_HOST_DEVICE Dtype Of(Dtype value) const { return value * scale; }
    CAFFE_HOST_DEVICE Dtype operator()(int64_t i) const { return Of(x[i]); }
  };
  CAFFE_HOST_DEVICE OfChannel operator()(int c) const { return {x, scale[c]}; }
};

/// x times the channel's scale, plus its bias
template <typename Dtype>
struct ScaledAndShiftedChannels {
  const Dtype *x, *scale, *bias;

  struct OfChannel {
    const Dtype* x;
    Dtype scale, bias;
    CAFFE_HOST_DEVICE Dtype Of(Dtype value) const { return value * scale + bias; }
    CAFFE_HOST_DEVICE Dtype operator()(int64_t i) const { return Of(x[i]); }
  };
  CAFFE_HOST_DEVICE OfChannel operator()(int c) const { return {x, scale[c], bias[c]}; }
};

/// x divided by the channel's divisor
template <typename Dtype>
struct DividedChannels {
  const Dtype *x, *divisor;

  struct OfChannel {
    const Dtype* x;
    Dtype divisor;
    CAFFE_HOST_DEVICE Dtype operator()(int64_t i) const { return x[i] / divisor; }
  };
  CAFFE_HOST_DEVICE OfChannel operator()(int c) const { return {x, divisor[c]}; }
};

/// (x - mean)^2
template <typename Dtype>
struct SquaredDistances {
  const Dtype *x, *mean;

  struct OfChannel {
    const Dtype* x;
    Dtype mean;
    CAFFE_HOST_DEVICE Dtype operator()(int64_t i) const { return (x[i] - mean) * (x[i] - mean); }
  };
  CAFFE_HOST_DEVICE OfChannel operator()(int c) const { return {x, mean[c]}; }
};

/// (x - mean) / deviation
template <typename Dtype>
struct NormalizedChannels {
  const Dtype *x, *mean, *deviation;

  struct OfChannel {
    const Dtype* x;
    Dtype mean, deviation;
    CAFFE_HOST_DEVICE Dtype operator()(int64_t i) const { return (x[i] - mean) / deviation; }
  };
  CAFFE_HOST_DEVICE OfChannel operator()(int c) const { return {x, mean[c], deviation[c]}; }
};

/// The same, kept in a second place too.
template <typename Dtype>
struct KeptNormalizedChannels {
  NormalizedChannels<Dtype> normalized;
  Dtype* second;

  struct OfChannel {
    typename NormalizedChannels<Dtype>::OfChannel normalized;
    Dtype* second;
    CAFFE_HOST_DEVICE Dtype operator()(int64_t i) const { return second[i] = normalized(i); }
  };
  CAFFE_HOST_DEVICE OfChannel operator()(int c) const { return {normalized(c), second}; }
};

/// The gradient of y = (x - mean) / deviation with respect to x, where mean and deviation are those of each
/// channel of x: (dy - mean(dy) - y mean(dy y)) / deviation. Y and Dy are functions of channels that give y
/// and dy.
template <typename Dtype, typename Y, typename Dy = ChannelValues<Dtype>>
struct NormalizedGradients {
  Dy dy;
  Y y;
  const Dtype *sum_dy, *sum_dy_y;
  Dtype per_channel;  ///< elements
  const Dtype* deviation;

  struct OfChannel {
    typename Dy::OfChannel dy;
    typename Y::OfChannel y;
    Dtype mean_dy, mean_dy_y, deviation;
    CAFFE_HOST_DEVICE Dtype operator()(int64_t i) const {
      return (dy(i) - mean_dy - y(i) * mean_dy_y) / deviation;
    }
  };
  CAFFE_HOST_DEVICE OfChannel operator()(int c) const {
    return {dy(c), y(c), sum_dy[c] / per_channel, sum_dy_y[c] / per_channel, deviation[c]};
  }
};

/// x minus the channel's mean, which has the sum `sums`.
template <typename Dtype>
struct CenteredChannels {
  const Dtype *x, *sums;
  Dtype per_channel;  ///< elements

  struct OfChannel {
    const Dtype* x;
    Dtype mean;
    CAFFE_HOST_DEVICE Dtype operator()(int64_t i) const { return x[i] - mean; }
  };
  CAFFE_HOST_DEVICE OfChannel operator()(int c) const { return {x, sums[c] / per_channel}; }
};

/// Mean and deviation of a batch, for its normalization, and what is kept of them.
template <typename Dtype>
struct BatchStatistics {
  Dtype *mean, *deviation;
  Dtype *moving_mean, *moving_variance, *moving_factor;
  Dtype fraction, eps;
  Dtype unbias;  ///< from the variance to an estimate of that of all values

  static Dtype Unbias(Dtype per_channel) {
    return per_channel > 1 ? per_channel / (per_channel - 1) : Dtype(1);
  }
  /// For channel 0 it counts the batch, too.
  CAFFE_HOST_DEVICE void operator()(int c, Dtype batch_mean, Dtype batch_variance) const {
    if (c == 0) moving_factor[0] = moving_factor[0] * fraction + 1;
    moving_mean[c] = moving_mean[c] * fraction + batch_mean;
    moving_variance[c] = moving_variance[c] * fraction + batch_variance * unbias;
    mean[c] = batch_mean;
    deviation[c] = std::sqrt(batch_variance + eps);
  }
};

/// Mean and deviation of what was kept.
template <typename Dtype>
struct KeptStatistics {
  const Dtype *moving_mean, *moving_variance, *moving_factor;
  Dtype eps;
  Dtype *mean, *deviation;

  CAFFE_HOST_DEVICE void operator()(int c) const {
    const Dtype factor = moving_factor[0];
    const Dtype scale = factor == 0 ? Dtype(0) : 1 / factor;
    mean[c] = scale * moving_mean[c];
    deviation[c] = std::sqrt(scale * moving_variance[c] + eps);
  }
};

/// Mean and deviation of MVN, which guards against dividing by 0 in another way.
template <typename Dtype>
struct RowStatistics {
  Dtype *mean, *deviation;
  Dtype eps;
  bool normalize;  ///< by the deviation; otherwise by 1

  CAFFE_HOST_DEVICE void operator()(int c, Dtype row_mean, Dtype row_variance) const {
    mean[c] = row_mean;
    deviation[c] = normalize ? std::sqrt(row_variance) + eps : Dtype(1);
  }
};

}  // namespace caffe

#endif  // CAFFE_UTIL_CHANNEL_FUNCTIONS_HPP_
