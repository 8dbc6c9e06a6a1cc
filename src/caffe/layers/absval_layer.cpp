#include "caffe/layers/absval_layer.hpp"

namespace caffe {

template <typename Dtype>
void AbsValLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  CHECK(top[0] != bottom[0]) << "cannot be computed in place; give the top another name";
}

template <typename Dtype>
AbsValFunction<Dtype> AbsValLayer<Dtype>::function() const {
  return {};
}

#ifdef CPU_ONLY
STUB_GPU(AbsValLayer);
#endif

INSTANTIATE_CLASS(AbsValLayer);
REGISTER_LAYER_CLASS(AbsVal);

}  // namespace caffe
