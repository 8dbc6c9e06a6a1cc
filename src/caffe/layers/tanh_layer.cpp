#include "caffe/layers/tanh_layer.hpp"

namespace caffe {

template <typename Dtype>
TanhFunction<Dtype> TanHLayer<Dtype>::function() const {
  return {};
}

#ifdef CPU_ONLY
STUB_GPU(TanHLayer);
#endif

INSTANTIATE_CLASS(TanHLayer);

}  // namespace caffe
