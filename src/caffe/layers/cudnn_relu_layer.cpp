#include "caffe/layers/cudnn_relu_layer.hpp"

#ifdef USE_CUDNN

namespace caffe {

namespace {

template <typename Dtype>
bool IsForCudnn(const LayerParameter& param, const Blob<Dtype>& bottom) {
  return param.relu_param().negative_slope() == 0 && bottom.count() > 0;
}

}  // namespace

template <typename Dtype>
void CuDNNReLULayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  if (!IsForCudnn(this->layer_param_, *bottom[0])) return ReLULayer<Dtype>::Forward_gpu(bottom, top);
  activation_.Forward(*bottom[0], top[0]);
}

template <typename Dtype>
void CuDNNReLULayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                         const vector<Blob<Dtype>*>& bottom) {
  if (!IsForCudnn(this->layer_param_, *bottom[0])) {
    return ReLULayer<Dtype>::Backward_gpu(top, propagate_down, bottom);
  }
  if (propagate_down[0]) activation_.Backward(*top[0], bottom[0]);
}

INSTANTIATE_CLASS(CuDNNReLULayer);

}  // namespace caffe

#endif  // USE_CUDNN
