#include "caffe/layers/batch_norm_layer.hpp"

#include "caffe/util/channel_functions.hpp"
#include "caffe/util/channel_kernels.cuh"

namespace caffe {

template <typename Dtype>
void BatchNormLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  if (bottom[0]->count() == 0) return;
  const ChannelExtent extent = Extent(*bottom[0]);
  const Dtype* x = bottom[0]->gpu_data();
  Dtype* y = top[0]->mutable_gpu_data();
  Dtype* mean = mean_.mutable_gpu_data();
  Dtype* deviation = variance_.mutable_gpu_data();
  const NormalizedChannels<Dtype> normalized = {x, mean, deviation};
  if (use_global_stats_) {
    GpuForEach(channels_, KeptStatistics<Dtype>{this->blobs_[0]->gpu_data(), this->blobs_[1]->gpu_data(),
                                                this->blobs_[2]->gpu_data(), eps_, mean, deviation});
    GpuMapChannels(extent, normalized, y);
    return;
  }
  GpuChannelMoments(
      extent, x,
      BatchStatistics<Dtype>{
          mean, deviation, this->blobs_[0]->mutable_gpu_data(), this->blobs_[1]->mutable_gpu_data(),
          this->blobs_[2]->mutable_gpu_data(), moving_average_fraction_, eps_,
          BatchStatistics<Dtype>::Unbias(static_cast<Dtype>(extent.outer) * extent.inner)});
  if (bottom[0] == top[0]) {
    GpuMapChannels(extent, KeptNormalizedChannels<Dtype>{normalized, x_norm_.mutable_gpu_data()}, y);
  } else {
    GpuMapChannels(extent, normalized, y);
  }
}

template <typename Dtype>
void BatchNormLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                         const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0] || bottom[0]->count() == 0) return;
  const ChannelExtent extent = Extent(*bottom[0]);
  const Dtype* dy = top[0]->gpu_diff();
  Dtype* dx = bottom[0]->mutable_gpu_diff();
  const Dtype* deviation = variance_.gpu_data();
  if (use_global_stats_) {
    GpuMapChannels(extent, DividedChannels<Dtype>{dy, deviation}, dx);
  } else if (bottom[0] == top[0]) {
    GpuNormalizedGradient(extent, ChannelValues<Dtype>{x_norm_.gpu_data()}, deviation, dy, dx);
  } else {
    const NormalizedChannels<Dtype> normalized = {bottom[0]->gpu_data(), mean_.gpu_data(), deviation};
    GpuNormalizedGradient(extent, normalized, deviation, dy, dx);
  }
}

INSTANTIATE_LAYER_GPU_FUNCS(BatchNormLayer);

}  // namespace caffe
