#include "caffe/layers/log_layer.hpp"

namespace caffe {

template <typename Dtype>
void LogLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) {
  const LogParameter& param = this->layer_param_.log_param();
  const Dtype base = param.base();
  CHECK(base == -1 || (base > 0 && base != 1))
      << "log_param.base must be positive and not 1, or -1 for e; it is " << base;
  base_scale_ = base == -1 ? Dtype(1) : 1 / std::log(base);
  input_scale_ = param.scale();
  input_shift_ = param.shift();
  backward_num_scale_ = base_scale_ * input_scale_;
}

#ifdef CPU_ONLY
STUB_GPU(LogLayer);
#endif

INSTANTIATE_CLASS(LogLayer);
REGISTER_LAYER_CLASS(Log);

}  // namespace caffe
