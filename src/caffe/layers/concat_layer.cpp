#include "caffe/layers/concat_layer.hpp"

#include "caffe/util/axis_parts.hpp"

namespace caffe {

template <typename Dtype>
void ConcatLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) {
  const ConcatParameter& param = this->layer_param_.concat_param();
  CHECK(!(param.has_axis() && param.has_concat_dim())) << "give concat_param.axis or concat_dim, not both";
}

template <typename Dtype>
void ConcatLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const ConcatParameter& param = this->layer_param_.concat_param();
  const int axis = param.has_concat_dim() ? static_cast<int>(param.concat_dim()) : param.axis();
  concat_axis_ = bottom[0]->CanonicalAxisIndex(axis);
  vector<int> shape = bottom[0]->shape();
  for (size_t i = 1; i < bottom.size(); ++i) {
    CHECK_EQ(bottom[i]->num_axes(), bottom[0]->num_axes()) << "all bottoms must have the same number of axes";
    for (int j = 0; j < bottom[0]->num_axes(); ++j) {
      if (j == concat_axis_) continue;
      CHECK_EQ(bottom[i]->shape(j), bottom[0]->shape(j))
          << "all bottoms must have the same dimensions but on the concat axis " << concat_axis_
          << ": bottom 0 has " << bottom[0]->shape_string() << ", bottom " << i << " has "
          << bottom[i]->shape_string();
    }
    shape[concat_axis_] += bottom[i]->shape(concat_axis_);
  }
  num_concats_ = bottom[0]->count(0, concat_axis_);
  concat_input_size_ = bottom[0]->count(concat_axis_ + 1);
  if (bottom.size() == 1) {
    top[0]->ReshapeLike(*bottom[0]);
    top[0]->ShareData(*bottom[0]);
    top[0]->ShareDiff(*bottom[0]);
  } else {
    top[0]->Reshape(shape);
  }
  count_ = top[0]->count();
}

template <typename Dtype>
void ConcatLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  if (bottom.size() > 1) JoinParts(HostSide(), bottom, concat_axis_, top[0]);
}

template <typename Dtype>
void ConcatLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                      const vector<Blob<Dtype>*>& bottom) {
  if (bottom.size() > 1) CutGradient(HostSide(), *top[0], concat_axis_, propagate_down, bottom);
}

#ifdef CPU_ONLY
STUB_GPU(ConcatLayer);
#endif

INSTANTIATE_CLASS(ConcatLayer);
REGISTER_LAYER_CLASS(Concat);

}  // namespace caffe
