#include "caffe/layers/crop_layer.hpp"

#include "caffe/util/crop_places.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/parallel_for.hpp"

namespace caffe {

template <typename Dtype>
void CropLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>&) {
  const CropParameter& param = this->layer_param_.crop_param();
  const int num_cut = bottom[0]->num_axes() - bottom[0]->CanonicalAxisIndex(param.axis());
  CHECK(param.offset_size() <= 1 || param.offset_size() == num_cut)
      << "give crop_param.offset once for all axes, or once for each of the " << num_cut << " axes cut, not "
      << param.offset_size() << " times";
}

template <typename Dtype>
void CropLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const CropParameter& param = this->layer_param_.crop_param();
  const int num_axes = bottom[0]->num_axes();
  const int first_cut = bottom[0]->CanonicalAxisIndex(param.axis());
  CHECK_GE(bottom[1]->num_axes(), num_axes) << "bottom 1 must have a size for every axis of bottom 0";
  vector<int> shape = bottom[0]->shape();
  offsets.Reshape(vector<int>(1, num_axes));
  int* offset = offsets.mutable_cpu_data();
  for (Blob<int>* strides : {&src_strides_, &dest_strides_}) strides->Reshape(vector<int>(1, num_axes));
  for (int axis = 0; axis < num_axes; ++axis) {
    offset[axis] = 0;
    if (axis < first_cut) continue;
    shape[axis] = bottom[1]->shape(axis);
    int64_t start = 0;
    if (param.offset_size() == 1) start = param.offset(0);
    if (param.offset_size() > 1) start = param.offset(axis - first_cut);
    CHECK_LE(start + shape[axis], bottom[0]->shape(axis))
        << "the cut of " << shape[axis] << " from offset " << start << " leaves axis " << axis
        << " of bottom 0, whose shape is " << bottom[0]->shape_string();
    offset[axis] = static_cast<int>(start);
  }
  top[0]->Reshape(shape);
  for (int axis = 0; axis < num_axes; ++axis) {
    src_strides_.mutable_cpu_data()[axis] = bottom[0]->count(axis + 1);
    dest_strides_.mutable_cpu_data()[axis] = top[0]->count(axis + 1);
  }
}

template <typename Dtype>
template <typename Body>
void CropLayer<Dtype>::ForRuns(const Blob<Dtype>& bottom, const Blob<Dtype>& top, Body body) const {
  if (top.count() == 0) return;
  const CropPlaces places = PlacesOfCrop(bottom.shape(), top.shape(), offsets.cpu_data());
  const int run = places.run;
  ParallelFor(top.count() / run, kElementGrain / run + 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) body(places.Place(static_cast<unsigned>(r)), r * run, run);
  });
}

template <typename Dtype>
void CropLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const Dtype* x = bottom[0]->cpu_data();
  Dtype* y = top[0]->mutable_cpu_data();
  ForRuns(*bottom[0], *top[0], [=](int64_t i, int64_t j, int n) { caffe_copy(n, x + i, y + j); });
}

template <typename Dtype>
void CropLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                    const vector<Blob<Dtype>*>& bottom) {
  // Only the shape of bottom 1 counts, so its values have gradient 0.
  for (int i = 0; i < 2; ++i) {
    if (propagate_down[i]) caffe_set(bottom[i]->count(), Dtype(0), bottom[i]->mutable_cpu_diff());
  }
  if (!propagate_down[0]) return;
  const Dtype* dy = top[0]->cpu_diff();
  Dtype* dx = bottom[0]->mutable_cpu_diff();
  ForRuns(*bottom[0], *top[0], [=](int64_t i, int64_t j, int n) { caffe_copy(n, dy + j, dx + i); });
}

#ifdef CPU_ONLY
STUB_GPU(CropLayer);
#endif

INSTANTIATE_CLASS(CropLayer);
REGISTER_LAYER_CLASS(Crop);

}  // namespace caffe
