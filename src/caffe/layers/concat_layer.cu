#include "caffe/layers/concat_layer.hpp"
#include "caffe/util/axis_parts.hpp"

namespace caffe {

template <typename Dtype>
void ConcatLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  if (bottom.size() > 1) JoinParts(GpuSide(), bottom, concat_axis_, top[0]);
}

template <typename Dtype>
void ConcatLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                      const vector<Blob<Dtype>*>& bottom) {
  if (bottom.size() > 1) CutGradient(GpuSide(), *top[0], concat_axis_, propagate_down, bottom);
}

INSTANTIATE_LAYER_GPU_FUNCS(ConcatLayer);

}  // namespace caffe
