#include "caffe/layers/flatten_layer.hpp"

namespace caffe {

template <typename Dtype>
void FlattenLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  CHECK(top[0] != bottom[0]) << "cannot be computed in place; give the top another name";
  const FlattenParameter& param = this->layer_param_.flatten_param();
  const int first = bottom[0]->CanonicalAxisIndex(param.axis());
  const int last = bottom[0]->CanonicalAxisIndex(param.end_axis());
  CHECK_LE(first, last) << "flatten_param.axis must not come after end_axis";
  const vector<int>& from = bottom[0]->shape();
  vector<int> shape(from.begin(), from.begin() + first);
  shape.push_back(bottom[0]->count(first, last + 1));
  shape.insert(shape.end(), from.begin() + last + 1, from.end());
  top[0]->Reshape(shape);
  // The gradient in this direction, since the bottom may share its own with something before it.
  top[0]->ShareData(*bottom[0]);
  top[0]->ShareDiff(*bottom[0]);
}

template <typename Dtype>
void FlattenLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) {}

template <typename Dtype>
void FlattenLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>&, const vector<bool>&,
                                       const vector<Blob<Dtype>*>&) {}

INSTANTIATE_CLASS(FlattenLayer);
REGISTER_LAYER_CLASS(Flatten);

}  // namespace caffe
