#include "caffe/layers/elu_layer.hpp"

namespace caffe {

template <typename Dtype>
EluFunction<Dtype> ELULayer<Dtype>::function() const {
  return {this->layer_param_.elu_param().alpha()};
}

#ifdef CPU_ONLY
STUB_GPU(ELULayer);
#endif

INSTANTIATE_CLASS(ELULayer);
REGISTER_LAYER_CLASS(ELU);

}  // namespace caffe
