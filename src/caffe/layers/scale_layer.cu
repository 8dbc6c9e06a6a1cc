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

}  // namespace

template <typename Dtype>
void ScaleLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
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
  const ChannelProducts<Dtype> products = {
      dy, to_scale ? (kept ? *kept : bottom[0] == top[0] ? temp_ : *bottom[0]).gpu_data() : nullptr};
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
