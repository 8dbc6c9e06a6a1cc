#include "caffe/layers/concat_layer.hpp"

#include "caffe/util/math_functions.hpp"

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
  if (bottom.size() == 1) return;
  Dtype* y = top[0]->mutable_cpu_data();
  const int row = top[0]->shape(concat_axis_) * concat_input_size_;
  int offset = 0;
  for (const Blob<Dtype>* blob : bottom) {
    const int part = blob->shape(concat_axis_) * concat_input_size_;
    for (int n = 0; n < num_concats_; ++n) {
      caffe_copy(part, blob->cpu_data() + static_cast<int64_t>(n) * part,
                 y + static_cast<int64_t>(n) * row + offset);
    }
    offset += part;
  }
}

template <typename Dtype>
void ConcatLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                      const vector<Blob<Dtype>*>& bottom) {
  if (bottom.size() == 1) return;
  const Dtype* dy = top[0]->cpu_diff();
  const int row = top[0]->shape(concat_axis_) * concat_input_size_;
  int offset = 0;
  for (size_t i = 0; i < bottom.size(); ++i) {
    const int part = bottom[i]->shape(concat_axis_) * concat_input_size_;
    if (propagate_down[i]) {
      Dtype* dx = bottom[i]->mutable_cpu_diff();
      for (int n = 0; n < num_concats_; ++n) {
        caffe_copy(part, dy + static_cast<int64_t>(n) * row + offset, dx + static_cast<int64_t>(n) * part);
      }
    }
    offset += part;
  }
}

#ifdef CPU_ONLY
STUB_GPU(ConcatLayer);
#endif

INSTANTIATE_CLASS(ConcatLayer);
REGISTER_LAYER_CLASS(Concat);

}  // namespace caffe
