#include "caffe/layers/cudnn_softmax_layer.hpp"

#ifdef USE_CUDNN

namespace caffe {

using cudnn::dataType;

template <typename Dtype>
void CuDNNSoftmaxLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom,
                                           const vector<Blob<Dtype>*>& top) {
  if (bottom[0]->count() == 0) return;
  const cudnnTensorDescriptor_t shape =
      tensor_desc_.Set<Dtype>(this->outer_num_, bottom[0]->shape(this->softmax_axis_), this->inner_num_, 1);
  const Dtype* x = bottom[0]->gpu_data();
  CUDNN_CHECK(cudnnSoftmaxForward(CudnnHandle(), CUDNN_SOFTMAX_ACCURATE, CUDNN_SOFTMAX_MODE_CHANNEL,
                                  dataType<Dtype>::one, shape, x, dataType<Dtype>::zero, shape,
                                  top[0]->mutable_gpu_data()));
}

template <typename Dtype>
void CuDNNSoftmaxLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top,
                                            const vector<bool>& propagate_down,
                                            const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0] || bottom[0]->count() == 0) return;
  const cudnnTensorDescriptor_t shape =
      tensor_desc_.Set<Dtype>(this->outer_num_, top[0]->shape(this->softmax_axis_), this->inner_num_, 1);
  const Dtype *y = top[0]->gpu_data(), *dy = top[0]->gpu_diff();
  CUDNN_CHECK(cudnnSoftmaxBackward(CudnnHandle(), CUDNN_SOFTMAX_ACCURATE, CUDNN_SOFTMAX_MODE_CHANNEL,
                                   dataType<Dtype>::one, shape, y, shape, dy, dataType<Dtype>::zero, shape,
                                   bottom[0]->mutable_gpu_diff()));
}

INSTANTIATE_CLASS(CuDNNSoftmaxLayer);

}  // namespace caffe

#endif  // USE_CUDNN
