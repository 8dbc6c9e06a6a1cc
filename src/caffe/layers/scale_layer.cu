#include "caffe/layers/scale_layer.hpp"

#include "caffe/util/channel_functions.hpp"
#include "caffe/util/channel_kernels.cuh"

namespace caffe {

namespace {

/// A function of channels of x, with x kept in a second place: in place, where it is overwritten.
template <typename Dtype, typename Function>
struct KeepingX {
  Function f;
  Dtype* kept;

  struct OfChannel {
    typename Function::OfChannel f;
    Dtype* kept;
    __device__ Dtype operator()(int64_t i) const {
      const Dtype x = f.x[i], y = f(i);
      kept[i] = x;
      return y;
    }
  };
  __device__ OfChannel operator()(int c) const { return {f(c), kept}; }
};

/// y = f of each channel, with x kept unless `kept` is null.
template <typename Dtype, typename Function>
void MapAndKeep(const ChannelExtent& extent, const Function& f, Dtype* kept, Dtype* y) {
  if (kept) {
    GpuMapChannels(extent, KeepingX<Dtype, Function>{f, kept}, y);
  } else {
    GpuMapChannels(extent, f, y);
  }
}

/// A normalized value and the scaled one.
template <typename Dtype>
struct ScaledValue {
  Dtype normalized, y;
};

template <typename Dtype, typename Scaled>
struct NormalizeAndScale {
  channel_kernels::ChannelOf channel_of;
  NormalizedChannels<Dtype> normalized;
  Scaled scaled;

  __device__ ScaledValue<Dtype> operator()(int i) const {
    const int channel = channel_of(i);
    const Dtype value = normalized(channel)(i);
    return {value, scaled(channel).Of(value)};
  }
};

template <typename Dtype>
struct StoreScaled {
  Dtype* y;
  KeepNormalized<Dtype> keep_normalized;

  __device__ void operator()(int i, const ScaledValue<Dtype>& value) const {
    y[i] = value.y;
    keep_normalized(i, value.normalized);
  }
};

/// The gradients by scale and bias, those of their channels, and that of what was normalized: y is the
/// normalized values.
template <typename Dtype, typename Y>
void GradientsOfBoth(const ChannelExtent& extent, const Y& y, const Dtype* deviation, const Dtype* scale,
                     const Dtype* dy, const StoreSumPair<Dtype>& scale_and_bias, Dtype* dx) {
  using Gradients = ScaledChannels<Dtype>;
  using OfParameters = channel_kernels::GradientPairs<Dtype, Y, ChannelValues<Dtype>>;
  using OfValues = channel_kernels::GradientPairs<Dtype, Y, Gradients>;
  const Gradients gradients = {dy, scale};
  const GpuArray<Dtype> sums(static_cast<size_t>(2) * extent.channels);
  Dtype *const sum_dy = sums.get(), *const sum_dy_y = sum_dy + extent.channels;
  GpuSumChannels<SumPair<SumPair<Dtype>>>(
      extent, ChannelPairs<SumPair<Dtype>, OfParameters, OfValues>{{{dy}, y}, {gradients, y}},
      StoreSumPair<Dtype, StoreSumPair<Dtype>>{scale_and_bias, {{sum_dy, false}, {sum_dy_y, false}}});
  const Dtype per_channel = static_cast<Dtype>(extent.outer) * extent.inner;
  GpuMapChannels(
      extent,
      NormalizedGradients<Dtype, Y, Gradients>{gradients, y, sum_dy, sum_dy_y, per_channel, deviation}, dx);
}

}  // namespace

template <typename Dtype>
void ScaleLayer<Dtype>::ForwardJoined(const Blob<Dtype>& bottom, Blob<Dtype>* top) {
  const JoinedNormalization<Dtype> joined = batch_norm_->ForwardJoinedGpu(bottom);
  const channel_kernels::ChannelOf channel_of(joined.extent);
  const NormalizedChannels<Dtype> normalized = {bottom.gpu_data(), joined.mean, joined.deviation};
  const Dtype* scale = this->blobs_[0]->gpu_data();
  const StoreScaled<Dtype> store = {top->mutable_gpu_data(), {joined.kept, joined.kept_bf16}};
  const auto run = [&](auto scaled) {
    using Run = NormalizeAndScale<Dtype, decltype(scaled)>;
    GpuMapInto<ScaledValue<Dtype>>(bottom.count(), Run{channel_of, normalized, scaled}, store);
  };
  if (bias_param_id_ >= 0) {
    run(ScaledAndShiftedChannels<Dtype>{nullptr, scale, this->blobs_[bias_param_id_]->gpu_data()});
  } else {
    run(ScaledChannels<Dtype>{nullptr, scale});
  }
}

template <typename Dtype>
Dtype* ScaleLayer<Dtype>::GpuDiffOf(int param_id) {
  const bool is_wanted = param_id >= 0 && this->param_propagate_down_[param_id];
  return is_wanted ? this->blobs_[param_id]->mutable_gpu_diff() : nullptr;
}

template <typename Dtype>
void ScaleLayer<Dtype>::BackwardJoined(const Blob<Dtype>& top, Blob<Dtype>* bottom) {
  if (top.count() == 0) return;
  const JoinedNormalization<Dtype> joined = batch_norm_->JoinedOnGpu();
  // Sums of dy are the bias's, those of its products with what was scaled the scale's.
  const StoreSumPair<Dtype> store = {{GpuDiffOf(bias_param_id_), true}, {GpuDiffOf(0), true}};
  const auto run = [&](const auto& y) {
    GradientsOfBoth(joined.extent, y, joined.deviation, this->blobs_[0]->gpu_data(), top.gpu_diff(), store,
                    bottom->mutable_gpu_diff());
  };
  if (joined.kept_bf16) {
    run(ChannelValues<Dtype, BF16>{joined.kept_bf16});
  } else {
    run(ChannelValues<Dtype>{joined.kept});
  }
}

template <typename Dtype>
void ScaleLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  if (batch_norm_) return ForwardJoined(*bottom[0], top[0]);
  const ChannelExtent extent = {outer_dim_, scale_dim_, inner_dim_};
  const Dtype* x = bottom[0]->gpu_data();
  Dtype* kept = bottom[0] == top[0] && !KeptBottom() ? temp_.mutable_gpu_data() : nullptr;
  const Dtype* scale = (bottom.size() > 1 ? bottom[1] : this->blobs_[0].get())->gpu_data();
  Dtype* y = top[0]->mutable_gpu_data();
  if (bias_param_id_ >= 0) {
    const Dtype* bias = this->blobs_[bias_param_id_]->gpu_data();
    MapAndKeep(extent, ScaledAndShiftedChannels<Dtype>{x, scale, bias}, kept, y);
  } else {
    MapAndKeep(extent, ScaledChannels<Dtype>{x, scale}, kept, y);
  }
}

template <typename Dtype>
void ScaleLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                     const vector<Blob<Dtype>*>& bottom) {
  if (batch_norm_) return BackwardJoined(*top[0], bottom[0]);
  const ChannelExtent extent = {outer_dim_, scale_dim_, inner_dim_};
  const bool has_parameter = bottom.size() == 1;
  const Dtype* dy = top[0]->gpu_diff();
  Blob<Dtype>* factor = has_parameter ? this->blobs_[0].get() : bottom[1];
  const bool to_scale = has_parameter ? this->param_propagate_down_[0] : propagate_down[1];
  const bool to_bias = bias_param_id_ >= 0 && this->param_propagate_down_[bias_param_id_];
  // The gradient of a parameter adds up over passes, that of a bottom does not.
  const StoreSum<Dtype> scale_sum = {to_scale ? factor->mutable_gpu_diff() : nullptr, has_parameter};
  const StoreSum<Dtype> bias_sum = {to_bias ? this->blobs_[bias_param_id_]->mutable_gpu_diff() : nullptr,
                                    true};
  const ChannelValues<Dtype> gradients = {dy};
  const Blob<Dtype>* const kept = KeptBottom();
  const ChannelProducts<Dtype> products = {dy, to_scale ? (kept                  ? *kept
                                                           : bottom[0] == top[0] ? temp_
                                                                                 : *bottom[0])
                                                              .gpu_data()
                                                        : nullptr};
  if (to_scale && to_bias) {
    using Pairs = ChannelPairs<Dtype, ChannelProducts<Dtype>, ChannelValues<Dtype>>;
    GpuSumChannels<SumPair<Dtype>>(extent, Pairs{products, gradients},
                                   StoreSumPair<Dtype>{scale_sum, bias_sum});
  } else if (to_scale) {
    GpuSumChannels<Dtype>(extent, products, scale_sum);
  } else if (to_bias) {
    GpuSumChannels<Dtype>(extent, gradients, bias_sum);
  }
  // Last: in place, dx is dy.
  if (!propagate_down[0]) return;
  GpuMapChannels(extent, ScaledChannels<Dtype>{dy, factor->gpu_data()}, bottom[0]->mutable_gpu_diff());
}

INSTANTIATE_LAYER_GPU_FUNCS(ScaleLayer);

}  // namespace caffe
