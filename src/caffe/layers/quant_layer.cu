#include "caffe/layers/quant_layer.hpp"
#include "caffe/util/elementwise.cuh"

namespace caffe {

template <typename Dtype>
void QuantLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const Dtype* x = bottom[0]->gpu_data();
  Dtype* y = top[0]->mutable_gpu_data();
  WithForward(true, [&](auto function) { GpuElementwiseForward(bottom[0]->count(), function, x, y); });
}

template <typename Dtype>
void QuantLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                     const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  CheckNotInPlace(top, bottom);
  const Dtype* x = bottom[0]->gpu_data();
  const Dtype* y = top[0]->gpu_data();
  const Dtype* dy = top[0]->gpu_diff();
  Dtype* dx = bottom[0]->mutable_gpu_diff();
  WithGradient([&](auto function) { GpuElementwiseBackward(bottom[0]->count(), function, x, y, dy, dx); });
}

INSTANTIATE_LAYER_GPU_FUNCS(QuantLayer);

}  // namespace caffe
