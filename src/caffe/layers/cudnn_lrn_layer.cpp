#include "caffe/layers/cudnn_lrn_layer.hpp"

#ifdef USE_CUDNN

namespace caffe {

using cudnn::dataType;

template <typename Dtype>
bool CuDNNLRNLayer<Dtype>::IsForCudnn(const Blob<Dtype>& bottom) const {
  return this->layer_param_.lrn_param().norm_region() == LRNParameter_NormRegion_ACROSS_CHANNELS &&
         this->size_ <= CUDNN_LRN_MAX_N && this->k_ >= CUDNN_LRN_MIN_K && this->beta_ >= CUDNN_LRN_MIN_BETA &&
         bottom.count() > 0;
}

template <typename Dtype>
void CuDNNLRNLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  if (!IsForCudnn(*bottom[0])) return LRNLayer<Dtype>::Forward_gpu(bottom, top);
  const cudnnTensorDescriptor_t shape = tensor_desc_.Set(*bottom[0]);
  CUDNN_CHECK(cudnnSetLRNDescriptor(norm_desc_.get(), this->size_, this->alpha_, this->beta_, this->k_));
  CUDNN_CHECK(cudnnLRNCrossChannelForward(CudnnHandle(), norm_desc_.get(), CUDNN_LRN_CROSS_CHANNEL_DIM1,
                                          dataType<Dtype>::one, shape, bottom[0]->gpu_data(),
                                          dataType<Dtype>::zero, shape, top[0]->mutable_gpu_data()));
}

template <typename Dtype>
void CuDNNLRNLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                        const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  if (!IsForCudnn(*bottom[0])) return LRNLayer<Dtype>::Backward_gpu(top, propagate_down, bottom);
  const cudnnTensorDescriptor_t shape = tensor_desc_.Set(*bottom[0]);
  CUDNN_CHECK(cudnnSetLRNDescriptor(norm_desc_.get(), this->size_, this->alpha_, this->beta_, this->k_));
  CUDNN_CHECK(cudnnLRNCrossChannelBackward(CudnnHandle(), norm_desc_.get(), CUDNN_LRN_CROSS_CHANNEL_DIM1,
                                           dataType<Dtype>::one, shape, top[0]->gpu_data(), shape,
                                           top[0]->gpu_diff(), shape, bottom[0]->gpu_data(),
                                           dataType<Dtype>::zero, shape, bottom[0]->mutable_gpu_diff()));
}

INSTANTIATE_CLASS(CuDNNLRNLayer);

}  // namespace caffe

#endif  // USE_CUDNN
