#include "caffe/layers/batch_norm_layer.hpp"

#include <algorithm>
#include <memory>
#include <type_traits>
#include <typeinfo>
#include <vector>

#include "caffe/layers/cudnn_batch_norm_layer.hpp"
#include "caffe/util/backward_precision.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/normalize_channels.hpp"
#include "caffe/util/ones.hpp"
#include "caffe/util/target_clones.hpp"

namespace caffe {

namespace {

// Floats that stay in the first cache between two uses.
constexpr int kValuesInCache = 4096;

template <typename Dtype>
CAFFE_TARGET_CLONES void RoundToBF16(int64_t count, const Dtype* values, BF16* rounded) {
  for (int64_t i = 0; i < count; ++i) rounded[i] = ToBF16(static_cast<float>(values[i]));
}

}  // namespace

template <typename Dtype>
ChannelExtent BatchNormLayer<Dtype>::Extent(const Blob<Dtype>& blob) const {
  const int num = blob.num_axes() > 1 ? blob.shape(0) : 1;
  return {num, channels_, num * channels_ > 0 ? blob.count() / (num * channels_) : 0};
}

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
           "or leave out param";
  }
}

template <typename Dtype>
void BatchNormLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  if (bottom[0]->num_axes() > 1) {
    CHECK_EQ(bottom[0]->shape(1), channels_) << "the number of channels is fixed when the layer is set up";
  }
  is_in_place_ = top[0] == bottom[0];
  if (!is_in_place_) top[0]->ReshapeLike(*bottom[0]);
  mean_.Reshape({channels_});
  variance_.Reshape({channels_});
  x_norm_.ReshapeLike(*bottom[0]);
  if (keeps_bf16_) x_norm_bf16_.Reshape({(bottom[0]->count() + 1) / 2});
  const ChannelExtent extent = Extent(*bottom[0]);
  ReshapeOnes({static_cast<int>(extent.outer)}, &batch_sum_multiplier_);
  ReshapeOnes({static_cast<int>(extent.inner)}, &spatial_sum_multiplier_);
  num_by_chans_.Reshape({static_cast<int>(extent.outer * extent.channels)});
  temp_.ReshapeLike(*bottom[0]);
}

template <typename Dtype>
void BatchNormLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  if (is_joined_) return;
  const ChannelExtent extent = Extent(*bottom[0]);
  const Dtype* x = bottom[0]->cpu_data();
  Dtype* y = top[0]->mutable_cpu_data();
  Dtype* mean = mean_.mutable_cpu_data();
  Dtype* deviation = variance_.mutable_cpu_data();
  if (use_global_stats_) {
    const KeptStatistics<Dtype> kept = {this->blobs_[0]->cpu_data(),
                                        this->blobs_[1]->cpu_data(),
                                        this->blobs_[2]->cpu_data(),
                                        eps_,
                                        mean,
                                        deviation};
    for (int c = 0; c < channels_; ++c) kept(c);
    ForChannels(extent,
                [=](int first, int last) { NormalizeChannels(extent, first, last, x, mean, deviation, y); });
    return;
  }
  Dtype* x_norm = x_norm_.mutable_cpu_data();
  ForwardChannels(extent, x, [=](int first, int last) {
    NormalizeChannels<Dtype>(extent, first, last, x, mean, deviation, y, x_norm);
  });
}

template <typename Dtype>
template <typename Normalize>
void BatchNormLayer<Dtype>::ForwardChannels(const ChannelExtent& extent, const Dtype* x,
                                            const Normalize& normalize) {
  Dtype* mean = mean_.mutable_cpu_data();
  Dtype* deviation = variance_.mutable_cpu_data();
  const BatchStatistics<Dtype> statistics = {
      mean,
      deviation,
      this->blobs_[0]->mutable_cpu_data(),
      this->blobs_[1]->mutable_cpu_data(),
      this->blobs_[2]->mutable_cpu_data(),
      moving_average_fraction_,
      eps_,
      BatchStatistics<Dtype>::Unbias(static_cast<Dtype>(extent.outer) * extent.inner)};
  ForChannels(extent, [&](int first, int last) {
    ChannelMoments(extent, first, last, x, mean, deviation);
    for (int c = first; c < last; ++c) statistics(c, mean[c], deviation[c]);
    normalize(first, last);
  });
}

template <typename Dtype>
BatchNormLayer<Dtype>* BatchNormLayer<Dtype>::Join(Layer<Dtype>* layer) {
  bool is_ours = typeid(*layer) == typeid(BatchNormLayer<Dtype>);
#ifdef USE_CUDNN
  is_ours = is_ours || typeid(*layer) == typeid(CuDNNBatchNormLayer<Dtype>);
#endif
  if (!is_ours) return nullptr;
  auto* const batch_norm = static_cast<BatchNormLayer<Dtype>*>(layer);
  return batch_norm->SetJoined(true) ? batch_norm : nullptr;
}

template <typename Dtype>
bool BatchNormLayer<Dtype>::SetJoined(bool is_joined) {
  is_joined_ = is_joined && !use_global_stats_;
  const Precision precision = Caffe::mode() == Caffe::CPU ? CpuBackwardPrecision() : BackwardPrecision();
  keeps_bf16_ = is_joined_ && std::is_same<Dtype, float>::value && precision == Precision::kBF16;
  if (keeps_bf16_) x_norm_bf16_.Reshape({(x_norm_.count() + 1) / 2});
  return is_joined_ == is_joined;
}

template <typename Dtype>
void BatchNormLayer<Dtype>::ForwardJoined(
    const Blob<Dtype>& bottom,
    const std::function<void(int64_t begin, int64_t count, const Dtype* values)>& part) {
  const ChannelExtent extent = Extent(bottom), image = {1, extent.channels, extent.inner};
  const Dtype* x = bottom.cpu_data();
  const Dtype *mean = mean_.cpu_data(), *deviation = variance_.cpu_data();
  if (keeps_bf16_) {
    auto* const kept = reinterpret_cast<BF16*>(x_norm_bf16_.mutable_cpu_data());
    const int most_channels = std::clamp(kValuesInCache / std::max(extent.inner, 1), 1, extent.channels);
    ForwardChannels(extent, x, [&](int first, int last) {
      std::vector<Dtype> values(static_cast<size_t>(most_channels) * extent.inner);
      for (int64_t n = 0; n < extent.outer; ++n) {
        for (int c = first; c < last; c += most_channels) {
          const ChannelExtent some = {1, std::min(most_channels, last - c), extent.inner};
          const int64_t begin = (n * extent.channels + c) * extent.inner,
                        count = static_cast<int64_t>(some.channels) * some.inner;
          NormalizeChannels(some, 0, some.channels, x + begin, mean + c, deviation + c, values.data());
          RoundToBF16(count, values.data(), kept + begin);
          part(begin, count, values.data());
        }
      }
    });
    return;
  }
  Dtype* x_norm = x_norm_.mutable_cpu_data();
  ForwardChannels(extent, x, [&](int first, int last) {
    for (int64_t n = 0; n < extent.outer; ++n) {
      const int64_t start = n * extent.channels * extent.inner;
      NormalizeChannels(image, first, last, x + start, mean, deviation, x_norm + start);
      const int64_t begin = start + static_cast<int64_t>(first) * extent.inner;
      part(begin, static_cast<int64_t>(last - first) * extent.inner, x_norm + begin);
    }
  });
}

template <typename Dtype>
void BatchNormLayer<Dtype>::BackwardJoined(const std::function<void(int64_t begin, int64_t count)>& gradient,
                                           Dtype* dx) {
  const ChannelExtent extent = Extent(x_norm_);
  const Dtype* deviation = variance_.cpu_data();
  if (keeps_bf16_) {
    const auto* const kept = reinterpret_cast<const BF16*>(x_norm_bf16_.cpu_data());
    NormalizedGradient(extent, kept, deviation, dx, dx, gradient);
  } else {
    NormalizedGradient(extent, x_norm_.cpu_data(), deviation, dx, dx, gradient);
  }
}

template <typename Dtype>
void BatchNormLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                         const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0] || is_joined_) return;
  const ChannelExtent extent = Extent(*bottom[0]);
  const Dtype* dy = top[0]->cpu_diff();
  Dtype* dx = bottom[0]->mutable_cpu_diff();
  const Dtype* deviation = variance_.cpu_data();
  if (!use_global_stats_) {
    NormalizedGradient(extent, x_norm_.cpu_data(), deviation, dy, dx);
    return;
  }
  ForChannels(extent, [=](int first, int last) {
    MapChannels(extent, first, last, DividedChannels<Dtype>{dy, deviation}, dx);
  });
}

#ifdef CPU_ONLY
STUB_GPU(BatchNormLayer);
#endif

INSTANTIATE_CLASS(BatchNormLayer);

}  // namespace caffe
