#include "caffe/layers/parameter_layer.hpp"

#include "caffe/util/math_functions.hpp"

namespace caffe {

template <typename Dtype>
void ParameterLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) {
  if (this->blobs_.empty()) {
    CHECK(this->layer_param_.parameter_param().has_shape()) << "parameter_param.shape is needed";
    this->blobs_.push_back(std::make_shared<Blob<Dtype>>());
    this->blobs_[0]->Reshape(this->layer_param_.parameter_param().shape());
    caffe_set(this->blobs_[0]->count(), Dtype(0), this->blobs_[0]->mutable_cpu_data());
  }
  this->param_propagate_down_.resize(1, true);
}

template <typename Dtype>
void ParameterLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>& top) {
  top[0]->ReshapeLike(*this->blobs_[0]);
}

template <typename Dtype>
void ParameterLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>& top) {
  top[0]->ShareData(*this->blobs_[0]);
}

template <typename Dtype>
void ParameterLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>&,
                                         const vector<Blob<Dtype>*>&) {
  if (!this->param_propagate_down_[0]) return;
  caffe_axpy(top[0]->count(), Dtype(1), top[0]->cpu_diff(), this->blobs_[0]->mutable_cpu_diff());
}

#ifdef CPU_ONLY
STUB_GPU_BACKWARD(ParameterLayer, Backward);
#endif

INSTANTIATE_CLASS(ParameterLayer);
REGISTER_LAYER_CLASS(Parameter);

}  // namespace caffe
