#include "caffe/layers/batch_norm_layer.hpp"

#include "caffe/util/channel_functions.hpp"
#include "caffe/util/channel_kernels.cuh"

namespace caffe {

template <typename Dtype>
void BatchNormLayer<Dtype>::FindStatisticsGpu(const Blob<Dtype>& bottom) {
  const ChannelExtent extent = Extent(bottom);
  GpuChannelMoments(
      extent, bottom.gpu_data(),
      BatchStatistics<Dtype>{
          mean_.mutable_gpu_data(), variance_.mutable_gpu_data(), this->blobs_[0]->mutable_gpu_data(),
          this->blobs_[1]->mutable_gpu_data(), this->blobs_[2]->mutable_gpu_data(), moving_average_fraction_,
          eps_, BatchStatistics<Dtype>::Unbias(static_cast<Dtype>(extent.outer) * extent.inner)});
}

template <typename Dtype>
JoinedNormalization<Dtype> BatchNormLayer<Dtype>::ForwardJoinedGpu(const Blob<Dtype>& bottom) {
  if (bottom.count() > 0) FindStatisticsGpu(bottom);
  return JoinedOnGpu();
}

template <typename Dtype>
JoinedNormalization<Dtype> BatchNormLayer<Dtype>::JoinedOnGpu() {
  JoinedNormalization<Dtype> joined = {Extent(x_norm_), mean_.gpu_data(), variance_.gpu_data(), nullptr,
                                       nullptr};
  if (keeps_bf16_) {
    joined.kept_bf16 = reinterpret_cast<BF16*>(x_norm_bf16_.mutable_gpu_data());
  } else {
    joined.kept = x_norm_.mutable_gpu_data();
  }
  return joined;
}

template <typename Dtype>
void BatchNormLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  if (is_joined_ || bottom[0]->count() == 0) return;
  const ChannelExtent extent = Extent(*bottom[0]);
  const Dtype* x = bottom[0]->gpu_data();
  Dtype* y = top[0]->mutable_gpu_data();
  if (use_global_stats_) {
    Dtype *mean = mean_.mutable_gpu_data(), *deviation = variance_.mutable_gpu_data();
    GpuForEach(channels_, KeptStatistics<Dtype>{this->blobs_[0]->gpu_data(), this->blobs_[1]->gpu_data(),
                                                this->blobs_[2]->gpu_data(), eps_, mean, deviation});
    GpuMapChannels(extent, NormalizedChannels<Dtype>{x, mean, deviation}, y);
    return;
  }
  FindStatisticsGpu(*bottom[0]);
  const NormalizedChannels<Dtype> normalized = {x, mean_.gpu_data(), variance_.gpu_data()};
  if (is_in_place_) {
    GpuMapChannels(extent, KeptNormalizedChannels<Dtype>{normalized, x_norm_.mutable_gpu_data()}, y);
  } else {
    GpuMapChannels(extent, normalized, y);
  }
}

template <typename Dtype>
void BatchNormLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                         const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0] || is_joined_ || bottom[0]->count() == 0) return;
  const ChannelExtent extent = Extent(*bottom[0]);
  const Dtype* dy = top[0]->gpu_diff();
  Dtype* dx = bottom[0]->mutable_gpu_diff();
  const ChannelValues<Dtype> gradients = {dy};
  const Dtype* deviation = variance_.gpu_data();
  if (use_global_stats_) {
    GpuMapChannels(extent, DividedChannels<Dtype>{dy, deviation}, dx);
  } else if (is_in_place_) {
    GpuNormalizedGradient(extent, ChannelValues<Dtype>{x_norm_.gpu_data()}, deviation, gradients, dx);
  } else {
    const NormalizedChannels<Dtype> normalized = {bottom[0]->gpu_data(), mean_.gpu_data(), deviation};
    GpuNormalizedGradient(extent, normalized, deviation, gradients, dx);
  }
}

INSTANTIATE_LAYER_GPU_FUNCS(BatchNormLayer);
#define INSTANTIATE_JOINED(Dtype)                                                                         \
  template JoinedNormalization<Dtype> BatchNormLayer<Dtype>::ForwardJoinedGpu(const Blob<Dtype>& bottom); \
  template JoinedNormalization<Dtype> BatchNormLayer<Dtype>::JoinedOnGpu()
INSTANTIATE_JOINED(float);
INSTANTIATE_JOINED(double);

}  // namespace caffe
