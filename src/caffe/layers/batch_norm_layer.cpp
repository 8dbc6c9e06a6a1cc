#include "caffe/layers/batch_norm_layer.hpp"

#include <algorithm>
#include <cmath>

#include "caffe/util/channel_loops.hpp"
#include "caffe/util/math_functions.hpp"

namespace caffe {

namespace {

template <typename Dtype>
ChannelExtent ExtentOf(const Blob<Dtype>& blob, int channels) {
  const int num = blob.num_axes() > 1 ? blob.shape(0) : 1;
  return {num, channels, num * channels > 0 ? blob.count() / (num * channels) : 0};
}

}  // namespace

template <typename Dtype>
void BatchNormLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>&) {
  const BatchNormParameter& param = this->layer_param_.batch_norm_param();
  moving_average_fraction_ = param.moving_average_fraction();
  use_global_stats_ = param.has_use_global_stats() ? param.use_global_stats() : this->phase_ == TEST;
  eps_ = param.eps();
  CHECK_GE(bottom[0]->num_axes(), 1) << "a scalar cannot be normalized";
  channels_ = bottom[0]->num_axes() == 1 ? 1 : bottom[0]->shape(1);
  if (this->blobs_.empty()) {
    for (int size : {channels_, channels_, 1}) {
      this->blobs_.push_back(std::make_shared<Blob<Dtype>>(vector<int>{size}));
      caffe_set(size, Dtype(0), this->blobs_.back()->mutable_cpu_data());
    }
  } else {
    CHECK_EQ(this->blobs_.size(), 3u) << "the saved layer must hold mean, variance and scale factor";
  }
  // Statistics are no weights: a solver must leave them alone.
  for (int i = 0; i < static_cast<int>(this->blobs_.size()); ++i) {
    if (i == this->layer_param_.param_size()) this->layer_param_.add_param()->set_lr_mult(0);
    CHECK_EQ(this->layer_param_.param(i).lr_mult(), 0)
        << "the statistics of batch normalization are not learned: set lr_mult: 0 for all three parameters, "
           "or "
           "leave out param";
  }
}

template <typename Dtype>
void BatchNormLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  if (bottom[0]->num_axes() > 1) {
    CHECK_EQ(bottom[0]->shape(1), channels_) << "the number of channels is fixed when the layer is set up";
  }
  if (top[0] != bottom[0]) top[0]->ReshapeLike(*bottom[0]);
  mean_.Reshape({channels_});
  variance_.Reshape({channels_});
  x_norm_.ReshapeLike(*bottom[0]);
}

template <typename Dtype>
void BatchNormLayer<Dtype>::ComputeBatchStatistics(const Blob<Dtype>& bottom) {
  const ChannelExtent extent = ExtentOf(bottom, channels_);
  const Dtype* x = bottom.cpu_data();
  Dtype* mean = mean_.mutable_cpu_data();
  Dtype* variance = variance_.mutable_cpu_data();
  const Dtype per_channel = static_cast<Dtype>(extent.outer) * extent.inner;
  vector<double> sums(channels_);
  double* sum = sums.data();
  ForChannels(extent, [=](int first, int last) {
    // The mean is subtracted from values near it, so it needs all the digits it can have.
    AddChannelSums<double>(extent, first, last, [x](int64_t i, int) { return x[i]; }, sum);
    for (int c = first; c < last; ++c) mean[c] = static_cast<Dtype>(sum[c] / per_channel);
    // Two passes: the difference of mean square and squared mean would lose the digits of a small variance.
    std::fill(variance + first, variance + last, Dtype(0));
    AddChannelSums<Dtype>(
        extent, first, last, [x, mean](int64_t i, int c) { return (x[i] - mean[c]) * (x[i] - mean[c]); },
        variance);
    for (int c = first; c < last; ++c) variance[c] /= per_channel;
  });

  Dtype* scale_factor = this->blobs_[2]->mutable_cpu_data();
  scale_factor[0] = scale_factor[0] * moving_average_fraction_ + 1;
  const Dtype unbias = per_channel > 1 ? per_channel / (per_channel - 1) : Dtype(1);
  caffe_cpu_axpby(channels_, Dtype(1), mean, moving_average_fraction_, this->blobs_[0]->mutable_cpu_data());
  caffe_cpu_axpby(channels_, unbias, static_cast<const Dtype*>(variance), moving_average_fraction_,
                  this->blobs_[1]->mutable_cpu_data());
}

template <typename Dtype>
void BatchNormLayer<Dtype>::UseMovingStatistics() {
  const Dtype factor = this->blobs_[2]->cpu_data()[0];
  const Dtype scale = factor == 0 ? Dtype(0) : 1 / factor;
  caffe_cpu_scale(channels_, scale, this->blobs_[0]->cpu_data(), mean_.mutable_cpu_data());
  caffe_cpu_scale(channels_, scale, this->blobs_[1]->cpu_data(), variance_.mutable_cpu_data());
}

template <typename Dtype>
void BatchNormLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  if (use_global_stats_) {
    UseMovingStatistics();
  } else {
    ComputeBatchStatistics(*bottom[0]);
  }
  const ChannelExtent extent = ExtentOf(*bottom[0], channels_);
  const Dtype* x = bottom[0]->cpu_data();
  const Dtype* mean = mean_.cpu_data();
  Dtype* deviation = variance_.mutable_cpu_data();
  for (int c = 0; c < channels_; ++c) deviation[c] = std::sqrt(deviation[c] + eps_);
  Dtype* y = top[0]->mutable_cpu_data();
  // With fixed statistics the gradient does not need the normalized values.
  Dtype* x_norm = use_global_stats_ ? nullptr : x_norm_.mutable_cpu_data();
  ForChannels(extent, [=](int first, int last) {
    MapChannels(
        extent, first, last,
        [x, mean, deviation](int64_t i, int c) { return (x[i] - mean[c]) / deviation[c]; }, y);
    if (x_norm) MapChannels(extent, first, last, [y](int64_t i, int) { return y[i]; }, x_norm);
  });
}

template <typename Dtype>
void BatchNormLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                         const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  const ChannelExtent extent = ExtentOf(*bottom[0], channels_);
  const Dtype* dy = top[0]->cpu_diff();
  Dtype* dx = bottom[0]->mutable_cpu_diff();
  const Dtype* deviation = variance_.cpu_data();
  if (use_global_stats_) {
    ForChannels(extent, [=](int first, int last) {
      MapChannels(
          extent, first, last, [dy, deviation](int64_t i, int c) { return dy[i] / deviation[c]; }, dx);
    });
    return;
  }
  // dx = (dy - mean(dy) - y mean(dy y)) / sqrt(variance + eps), means over the channel.
  const Dtype* y = x_norm_.cpu_data();
  const Dtype per_channel = static_cast<Dtype>(extent.outer) * extent.inner;
  vector<Dtype> mean_dy(channels_), mean_dy_y(channels_);
  Dtype* mean_dy_data = mean_dy.data();
  Dtype* mean_dy_y_data = mean_dy_y.data();
  ForChannels(extent, [=](int first, int last) {
    AddChannelSums<Dtype>(extent, first, last, [dy](int64_t i, int) { return dy[i]; }, mean_dy_data);
    AddChannelSums<Dtype>(
        extent, first, last, [dy, y](int64_t i, int) { return dy[i] * y[i]; }, mean_dy_y_data);
    for (int c = first; c < last; ++c) {
      mean_dy_data[c] /= per_channel;
      mean_dy_y_data[c] /= per_channel;
    }
    MapChannels(
        extent, first, last,
        [=](int64_t i, int c) { return (dy[i] - mean_dy_data[c] - y[i] * mean_dy_y_data[c]) / deviation[c]; },
        dx);
  });
}

#ifdef CPU_ONLY
STUB_GPU(BatchNormLayer);
#endif

INSTANTIATE_CLASS(BatchNormLayer);
REGISTER_LAYER_CLASS(BatchNorm);

}  // namespace caffe
