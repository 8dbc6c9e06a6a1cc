#include "caffe/layers/log_layer.hpp"

namespace caffe {

template <typename Dtype>
LogFunction<Dtype> LogLayer<Dtype>::function() const {
  const LogParameter& param = this->layer_param_.log_param();
  const Dtype base = param.base();
  CHECK(base == -1 || (base > 0 && base != 1))
      << "log_param.base must be positive and not 1, or -1 for e; it is " << base;
  return {param.scale(), param.shift(), base == -1 ? Dtype(1) : 1 / std::log(base)};
}

#ifdef CPU_ONLY
STUB_GPU(LogLayer);
#endif

INSTANTIATE_CLASS(LogLayer);
REGISTER_LAYER_CLASS(Log);

}  // namespace caffe
