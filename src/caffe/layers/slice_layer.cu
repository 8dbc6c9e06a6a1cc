#include "caffe/layers/slice_layer.hpp"
#include "caffe/util/axis_parts.hpp"

namespace caffe {

template <typename Dtype>
void SliceLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  if (top.size() > 1) CutIntoParts(GpuSide(), *bottom[0], slice_axis_, top);
}

template <typename Dtype>
void SliceLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                     const vector<Blob<Dtype>*>& bottom) {
  if (propagate_down[0] && top.size() > 1) JoinGradients(GpuSide(), top, slice_axis_, bottom[0]);
}

INSTANTIATE_LAYER_GPU_FUNCS(SliceLayer);

}  // namespace caffe
