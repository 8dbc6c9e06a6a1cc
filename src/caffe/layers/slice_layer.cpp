#include "caffe/layers/slice_layer.hpp"

#include "caffe/util/axis_parts.hpp"

namespace caffe {

template <typename Dtype>
void SliceLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) {
  const SliceParameter& param = this->layer_param_.slice_param();
  CHECK(!(param.has_axis() && param.has_slice_dim())) << "give slice_param.axis or slice_dim, not both";
  slice_point_.assign(param.slice_point().begin(), param.slice_point().end());
}

template <typename Dtype>
void SliceLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const SliceParameter& param = this->layer_param_.slice_param();
  const int axis = param.has_slice_dim() ? static_cast<int>(param.slice_dim()) : param.axis();
  slice_axis_ = bottom[0]->CanonicalAxisIndex(axis);
  const int size = bottom[0]->shape(slice_axis_);
  const int num_tops = static_cast<int>(top.size());
  // Where each slice ends.
  vector<int> ends;
  if (!slice_point_.empty()) {
    CHECK_EQ(slice_point_.size(), top.size() - 1) << "there must be one slice_point less than tops";
    ends = slice_point_;
  } else {
    CHECK_EQ(size % num_tops, 0) << "axis " << slice_axis_ << " of size " << size << " cannot be cut into "
                                 << num_tops << " equal slices; give slice_points";
    for (int i = 1; i < num_tops; ++i) ends.push_back(i * (size / num_tops));
  }
  ends.push_back(size);
  vector<int> shape = bottom[0]->shape();
  int start = 0;
  for (int i = 0; i < num_tops; ++i) {
    CHECK_GT(ends[i], start) << "slice_points must ascend and lie inside axis " << slice_axis_ << " of size "
                             << size;
    shape[slice_axis_] = ends[i] - start;
    top[i]->Reshape(shape);
    start = ends[i];
  }
  count_ = bottom[0]->count();
  num_slices_ = bottom[0]->count(0, slice_axis_);
  slice_size_ = bottom[0]->count(slice_axis_ + 1);
  if (num_tops == 1) {
    top[0]->ShareData(*bottom[0]);
    top[0]->ShareDiff(*bottom[0]);
  }
}

template <typename Dtype>
void SliceLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  if (top.size() > 1) CutIntoParts(HostSide(), *bottom[0], slice_axis_, top);
}

template <typename Dtype>
void SliceLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                     const vector<Blob<Dtype>*>& bottom) {
  if (propagate_down[0] && top.size() > 1) JoinGradients(HostSide(), top, slice_axis_, bottom[0]);
}

#ifdef CPU_ONLY
STUB_GPU(SliceLayer);
#endif

INSTANTIATE_CLASS(SliceLayer);
REGISTER_LAYER_CLASS(Slice);

}  // namespace caffe
