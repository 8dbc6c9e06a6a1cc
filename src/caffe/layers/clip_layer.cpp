#include "caffe/layers/clip_layer.hpp"

namespace caffe {

template <typename Dtype>
ClipFunction<Dtype> ClipLayer<Dtype>::function() const {
  const ClipParameter& param = this->layer_param_.clip_param();
  CHECK_LE(param.min(), param.max()) << "clip_param.min must not exceed clip_param.max";
  return {param.min(), param.max()};
}

#ifdef CPU_ONLY
STUB_GPU(ClipLayer);
#endif

INSTANTIATE_CLASS(ClipLayer);
REGISTER_LAYER_CLASS(Clip);

}  // namespace caffe
