#include "caffe/layers/exp_layer.hpp"

namespace caffe {

template <typename Dtype>
void ExpLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) {
  const ExpParameter& param = this->layer_param_.exp_param();
  const Dtype base = param.base();
  CHECK(base == -1 || base > 0) << "exp_param.base must be positive, or -1 for e; it is " << base;
  const Dtype log_base = base == -1 ? Dtype(1) : std::log(base);
  inner_scale_ = log_base * param.scale();
  outer_scale_ = std::exp(log_base * param.shift());
}

#ifdef CPU_ONLY
STUB_GPU(ExpLayer);
#endif

INSTANTIATE_CLASS(ExpLayer);
REGISTER_LAYER_CLASS(Exp);

}  // namespace caffe
