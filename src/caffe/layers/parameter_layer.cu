#include "caffe/layers/parameter_layer.hpp"
#include "caffe/util/math_functions.hpp"

namespace caffe {

template <typename Dtype>
void ParameterLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>&,
                                         const vector<Blob<Dtype>*>&) {
  if (!this->param_propagate_down_[0]) return;
  caffe_gpu_axpy(top[0]->count(), Dtype(1), top[0]->gpu_diff(), this->blobs_[0]->mutable_gpu_diff());
}

INSTANTIATE_LAYER_GPU_BACKWARD(ParameterLayer);

}  // namespace caffe
