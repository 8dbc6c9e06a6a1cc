#include "caffe/layers/bias_layer.hpp"

#include "caffe/util/channel_functions.hpp"
#include "caffe/util/channel_kernels.cuh"
#include "caffe/util/math_functions.hpp"

namespace caffe {

template <typename Dtype>
void BiasLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const Dtype* bias = (bottom.size() > 1 ? bottom[1] : this->blobs_[0].get())->gpu_data();
  const Dtype* x = bottom[0]->gpu_data();
  GpuMapChannels({outer_dim_, bias_dim_, inner_dim_}, ShiftedChannels<Dtype>{x, bias},
                 top[0]->mutable_gpu_data());
}

template <typename Dtype>
void BiasLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                    const vector<Blob<Dtype>*>& bottom) {
  const Dtype* dy = top[0]->gpu_diff();
  const bool has_parameter = bottom.size() == 1;
  if (propagate_down[0] && bottom[0] != top[0]) {
    caffe_copy(bottom[0]->count(), dy, bottom[0]->mutable_gpu_diff());
  }
  if (!(has_parameter ? this->param_propagate_down_[0] : propagate_down[1])) return;
  Blob<Dtype>* bias = has_parameter ? this->blobs_[0].get() : bottom[1];
  // The gradient of a parameter adds up over passes, that of a bottom does not.
  GpuSumChannels<Dtype>({outer_dim_, bias_dim_, inner_dim_}, ChannelValues<Dtype>{dy},
                        StoreSum<Dtype>{bias->mutable_gpu_diff(), has_parameter});
}

INSTANTIATE_LAYER_GPU_FUNCS(BiasLayer);

}  // namespace caffe
