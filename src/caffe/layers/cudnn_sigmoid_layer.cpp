#include "caffe/layers/cudnn_sigmoid_layer.hpp"

#ifdef USE_CUDNN

namespace caffe {

template <typename Dtype>
void CuDNNSigmoidLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom,
                                           const vector<Blob<Dtype>*>& top) {
  if (bottom[0]->count() > 0) activation_.Forward(*bottom[0], top[0]);
}

template <typename Dtype>
void CuDNNSigmoidLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top,
                                            const vector<bool>& propagate_down,
                                            const vector<Blob<Dtype>*>& bottom) {
  if (propagate_down[0] && bottom[0]->count() > 0) activation_.Backward(*top[0], bottom[0]);
}

INSTANTIATE_CLASS(CuDNNSigmoidLayer);

}  // namespace caffe

#endif  // USE_CUDNN
