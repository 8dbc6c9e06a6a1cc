#include "caffe/layers/scale_layer.hpp"

#include "caffe/util/channel_functions.hpp"
#include "caffe/util/channel_kernels.cuh"
#include "caffe/util/math_functions.hpp"

namespace caffe {

template <typename Dtype>
void ScaleLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const ChannelExtent extent = {outer_dim_, scale_dim_, inner_dim_};
  const Dtype* x = bottom[0]->gpu_data();
  if (bottom[0] == top[0] && !KeptBottom()) caffe_copy(bottom[0]->count(), x, temp_.mutable_gpu_data());
  const Dtype* scale = (bottom.size() > 1 ? bottom[1] : this->blobs_[0].get())->gpu_data();
  Dtype* y = top[0]->mutable_gpu_data();
  if (bias_param_id_ >= 0) {
    const Dtype* bias = this->blobs_[bias_param_id_]->gpu_data();
    GpuMapChannels(extent, ScaledAndShiftedChannels<Dtype>{x, scale, bias}, y);
  } else {
    GpuMapChannels(extent, ScaledChannels<Dtype>{x, scale}, y);
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
