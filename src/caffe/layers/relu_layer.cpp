#include "caffe/layers/relu_layer.hpp"

namespace caffe {

template <typename Dtype>
ReluFunction<Dtype> ReLULayer<Dtype>::function() const {
  return {this->layer_param_.relu_param().negative_slope()};
}

#ifdef CPU_ONLY
STUB_GPU(ReLULayer);
#endif

INSTANTIATE_CLASS(ReLULayer);

}  // namespace caffe
