#include "caffe/layers/bnll_layer.hpp"

namespace caffe {

template <typename Dtype>
BnllFunction<Dtype> BNLLLayer<Dtype>::function() const {
  return {};
}

#ifdef CPU_ONLY
STUB_GPU(BNLLLayer);
#endif

INSTANTIATE_CLASS(BNLLLayer);
REGISTER_LAYER_CLASS(BNLL);

}  // namespace caffe
