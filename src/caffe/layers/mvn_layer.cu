#include "caffe/layers/mvn_layer.hpp"

#include "caffe/util/channel_functions.hpp"
#include "caffe/util/channel_kernels.cuh"

namespace caffe {

template <typename Dtype>
void MVNLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  if (bottom[0]->count() == 0) return;
  const ChannelExtent extent = Extent(*bottom[0]);
  const Dtype* x = bottom[0]->gpu_data();
  Dtype* mean = mean_.mutable_gpu_data();
  Dtype* deviation = variance_.mutable_gpu_data();
  GpuChannelMoments(
      extent, x,
      RowStatistics<Dtype>{mean, deviation, eps_, this->layer_param_.mvn_param().normalize_variance()});
  GpuMapChannels(extent, NormalizedChannels<Dtype>{x, mean, deviation}, top[0]->mutable_gpu_data());
}

template <typename Dtype>
void MVNLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                   const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0] || bottom[0]->count() == 0) return;
  const ChannelExtent extent = Extent(*bottom[0]);
  const Dtype* dy = top[0]->gpu_diff();
  Dtype* dx = bottom[0]->mutable_gpu_diff();
  if (this->layer_param_.mvn_param().normalize_variance()) {
    GpuNormalizedGradient(extent, ChannelValues<Dtype>{top[0]->gpu_data()}, variance_.gpu_data(),
                          ChannelValues<Dtype>{dy}, dx);
  } else {
    GpuCenterChannels(extent, dy, dx);
  }
}

INSTANTIATE_LAYER_GPU_FUNCS(MVNLayer);

}  // namespace caffe
