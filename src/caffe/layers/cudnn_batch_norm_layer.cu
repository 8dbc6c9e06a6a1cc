#include "caffe/layers/cudnn_batch_norm_layer.hpp"

#ifdef USE_CUDNN

#include <cmath>

#include "caffe/util/channel_functions.hpp"
#include "caffe/util/gpu_launch.cuh"
#include "caffe/util/ones.hpp"

namespace caffe {

using cudnn::dataType;

namespace {

// From here on some of cuDNN's kernels do not start.
constexpr int kMostItems = 65535;

// Hands on a batch's statistics as cuDNN gives them.
template <typename Dtype>
struct TakeStatistics {
  const Dtype *mean, *unbiased_variance;
  BatchStatistics<Dtype> statistics;

  __device__ void operator()(int c) const {
    statistics(c, mean[c], unbiased_variance[c] / statistics.unbias);
  }
};

// Also the deviation's square.
template <typename Dtype>
struct TakeKeptStatistics {
  KeptStatistics<Dtype> statistics;
  Dtype* square;

  __device__ void operator()(int c) const {
    statistics(c);
    square[c] = statistics.deviation[c] * statistics.deviation[c];
  }
};

}  // namespace

template <typename Dtype>
bool CuDNNBatchNormLayer<Dtype>::IsForCudnn(const Blob<Dtype>& bottom, const Blob<Dtype>& top) const {
  // The unbiased variance of a single value is another one there.
  return &bottom != &top && bottom.count() > 0 && items_ <= kMostItems && items_ * elements_ > 1 &&
         this->eps_ >= CUDNN_BN_MIN_EPSILON;
}

template <typename Dtype>
cudnnBatchNormMode_t CuDNNBatchNormLayer<Dtype>::Mode() const {
  return elements_ == 1 ? CUDNN_BATCHNORM_PER_ACTIVATION : CUDNN_BATCHNORM_SPATIAL;
}

template <typename Dtype>
void CuDNNBatchNormLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom,
                                         const vector<Blob<Dtype>*>& top) {
  BatchNormLayer<Dtype>::Reshape(bottom, top);
  items_ = bottom[0]->num_axes() > 1 ? bottom[0]->shape(0) : 1;
  elements_ = bottom[0]->count() > 0 ? bottom[0]->count() / (items_ * this->channels_) : 0;
  ReshapeOnes({this->channels_}, &ones_);
  zeros_.Reshape({this->channels_});
  inverse_deviation_.Reshape({this->channels_});
}

template <typename Dtype>
void CuDNNBatchNormLayer<Dtype>::ForwardBatch(const Blob<Dtype>& bottom, Blob<Dtype>* top) {
  const int channels = this->channels_;
  const cudnnTensorDescriptor_t images = images_desc_.Set<Dtype>(items_, channels, elements_, 1);
  CUDNN_CHECK(cudnnDeriveBNTensorDescriptor(channels_desc_.get(), images, Mode()));
  // Averages of this batch alone: its mean and unbiased variance.
  const GpuArray<Dtype> averages(2 * static_cast<size_t>(channels));
  CUDA_CHECK(cudaMemsetAsync(averages.get(), 0, 2 * channels * sizeof(Dtype), cudaStreamPerThread));
  Dtype *batch_mean = averages.get(), *batch_variance = averages.get() + channels;
  CUDNN_CHECK(cudnnBatchNormalizationForwardTraining(
      CudnnHandle(), Mode(), dataType<Dtype>::one, dataType<Dtype>::zero, images, bottom.gpu_data(), images,
      top->mutable_gpu_data(), channels_desc_.get(), ones_.gpu_data(), zeros_.gpu_data(), 1, batch_mean,
      batch_variance, this->eps_, this->mean_.mutable_gpu_data(), inverse_deviation_.mutable_gpu_data()));
  const Dtype per_channel = static_cast<Dtype>(items_) * elements_;
  GpuForEach(channels,
             TakeStatistics<Dtype>{batch_mean,
                                   batch_variance,
                                   {this->mean_.mutable_gpu_data(), this->variance_.mutable_gpu_data(),
                                    this->blobs_[0]->mutable_gpu_data(), this->blobs_[1]->mutable_gpu_data(),
                                    this->blobs_[2]->mutable_gpu_data(), this->moving_average_fraction_,
                                    this->eps_, BatchStatistics<Dtype>::Unbias(per_channel)}});
}

template <typename Dtype>
void CuDNNBatchNormLayer<Dtype>::ForwardKept(const Blob<Dtype>& bottom, Blob<Dtype>* top) {
  const int channels = this->channels_;
  const cudnnTensorDescriptor_t images = images_desc_.Set<Dtype>(items_, channels, elements_, 1);
  CUDNN_CHECK(cudnnDeriveBNTensorDescriptor(channels_desc_.get(), images, Mode()));
  const GpuArray<Dtype> square(channels);
  Dtype *mean = this->mean_.mutable_gpu_data(), *deviation = this->variance_.mutable_gpu_data();
  GpuForEach(channels, TakeKeptStatistics<Dtype>{{this->blobs_[0]->gpu_data(), this->blobs_[1]->gpu_data(),
                                                  this->blobs_[2]->gpu_data(), this->eps_, mean, deviation},
                                                 square.get()});
  // Which is the variance and eps, so that there is no eps to add.
  CUDNN_CHECK(cudnnBatchNormalizationForwardInference(
      CudnnHandle(), Mode(), dataType<Dtype>::one, dataType<Dtype>::zero, images, bottom.gpu_data(), images,
      top->mutable_gpu_data(), channels_desc_.get(), ones_.gpu_data(), zeros_.gpu_data(), mean, square.get(),
      0));
}

template <typename Dtype>
void CuDNNBatchNormLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom,
                                             const vector<Blob<Dtype>*>& top) {
  if (!IsForCudnn(*bottom[0], *top[0])) return BatchNormLayer<Dtype>::Forward_gpu(bottom, top);
  if (this->use_global_stats_) {
    ForwardKept(*bottom[0], top[0]);
  } else {
    ForwardBatch(*bottom[0], top[0]);
  }
}

template <typename Dtype>
void CuDNNBatchNormLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top,
                                              const vector<bool>& propagate_down,
                                              const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  // The gradient for statistics that do not depend on the bottom is a division, which cuDNN does not have.
  if (this->use_global_stats_ || !IsForCudnn(*bottom[0], *top[0])) {
    return BatchNormLayer<Dtype>::Backward_gpu(top, propagate_down, bottom);
  }
  const int channels = this->channels_;
  const cudnnTensorDescriptor_t images = images_desc_.Set<Dtype>(items_, channels, elements_, 1);
  CUDNN_CHECK(cudnnDeriveBNTensorDescriptor(channels_desc_.get(), images, Mode()));
  // Gradients by the ones and zeros, which nobody wants.
  const GpuArray<Dtype> scale_diff(channels), bias_diff(channels);
  CUDNN_CHECK(cudnnBatchNormalizationBackward(
      CudnnHandle(), Mode(), dataType<Dtype>::one, dataType<Dtype>::zero, dataType<Dtype>::one,
      dataType<Dtype>::zero, images, bottom[0]->gpu_data(), images, top[0]->gpu_diff(), images,
      bottom[0]->mutable_gpu_diff(), channels_desc_.get(), ones_.gpu_data(), scale_diff.get(),
      bias_diff.get(), this->eps_, this->mean_.gpu_data(), inverse_deviation_.gpu_data()));
}

INSTANTIATE_CLASS(CuDNNBatchNormLayer);

}  // namespace caffe

#endif  // USE_CUDNN
