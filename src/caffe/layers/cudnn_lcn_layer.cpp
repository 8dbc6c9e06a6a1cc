#include "caffe/layers/cudnn_lcn_layer.hpp"

#ifdef USE_CUDNN

#include "caffe/util/gpu_memory.hpp"

namespace caffe {

using cudnn::dataType;

template <typename Dtype>
bool CuDNNLCNLayer<Dtype>::IsForCudnn(const Blob<Dtype>& bottom) const {
  return this->layer_param_.lrn_param().norm_region() == LRNParameter_NormRegion_WITHIN_CHANNEL &&
         this->size_ <= CUDNN_LRN_MAX_N && this->beta_ >= CUDNN_LRN_MIN_BETA && bottom.count() > 0;
}

template <typename Dtype>
void CuDNNLCNLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  if (!IsForCudnn(*bottom[0])) return LRNLayer<Dtype>::Forward_gpu(bottom, top);
  const cudnnTensorDescriptor_t shape = tensor_desc_.Set(*bottom[0]);
  // LRNLayer adds 1, whatever k is.
  CUDNN_CHECK(cudnnSetLRNDescriptor(norm_desc_.get(), this->size_, this->alpha_, this->beta_, 1));
  const GpuArray<Dtype> buffer(bottom[0]->count()), other_buffer(bottom[0]->count());
  CUDNN_CHECK(cudnnDivisiveNormalizationForward(
      CudnnHandle(), norm_desc_.get(), CUDNN_DIVNORM_PRECOMPUTED_MEANS, dataType<Dtype>::one, shape,
      bottom[0]->gpu_data(), nullptr, buffer.get(), other_buffer.get(), dataType<Dtype>::zero, shape,
      top[0]->mutable_gpu_data()));
}

template <typename Dtype>
void CuDNNLCNLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                        const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  if (!IsForCudnn(*bottom[0])) return LRNLayer<Dtype>::Backward_gpu(top, propagate_down, bottom);
  const cudnnTensorDescriptor_t shape = tensor_desc_.Set(*bottom[0]);
  // LRNLayer adds 1, whatever k is.
  CUDNN_CHECK(cudnnSetLRNDescriptor(norm_desc_.get(), this->size_, this->alpha_, this->beta_, 1));
  const GpuArray<Dtype> buffer(bottom[0]->count()), other_buffer(bottom[0]->count());
  CUDNN_CHECK(cudnnDivisiveNormalizationBackward(
      CudnnHandle(), norm_desc_.get(), CUDNN_DIVNORM_PRECOMPUTED_MEANS, dataType<Dtype>::one, shape,
      bottom[0]->gpu_data(), nullptr, top[0]->gpu_diff(), buffer.get(), other_buffer.get(),
      dataType<Dtype>::zero, shape, bottom[0]->mutable_gpu_diff(), nullptr));
}

INSTANTIATE_CLASS(CuDNNLCNLayer);

}  // namespace caffe

#endif  // USE_CUDNN
