#include "caffe/layers/sigmoid_layer.hpp"

namespace caffe {

template <typename Dtype>
SigmoidFunction<Dtype> SigmoidLayer<Dtype>::function() const {
  return {};
}

#ifdef CPU_ONLY
STUB_GPU(SigmoidLayer);
#endif

INSTANTIATE_CLASS(SigmoidLayer);

}  // namespace caffe
