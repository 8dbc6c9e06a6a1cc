#include "caffe/layers/power_layer.hpp"

namespace caffe {

template <typename Dtype>
PowerFunction<Dtype> PowerLayer<Dtype>::function() const {
  const PowerParameter& param = this->layer_param_.power_param();
  return {param.power(), param.scale(), param.shift()};
}

#ifdef CPU_ONLY
STUB_GPU(PowerLayer);
#endif

INSTANTIATE_CLASS(PowerLayer);
REGISTER_LAYER_CLASS(Power);

}  // namespace caffe
