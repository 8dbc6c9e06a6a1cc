#ifndef CAFFE_UTIL_ELEMENTWISE_CUH_
#define CAFFE_UTIL_ELEMENTWISE_CUH_

/// @file
/// What caffe/util/elementwise.hpp does, on the GPU, and with it the GPU halves of the function layers.

#include "caffe/layers/neuron_layer.hpp"
#include "caffe/util/gpu_launch.cuh"
#include "caffe/util/math_functions.hpp"

namespace caffe {

/// y[i] = f.Forward(x[i]); y may be x.
template <typename Dtype, typename Function>
void GpuElementwiseForward(int n, Function f, const Dtype* x, Dtype* y) {
  GpuForEach(n, [=] __device__(int i) { y[i] = f.Forward(x[i]); });
}

/// dx[i] = dy[i] f.Derivative(x[i], y[i]); dx may be dy.
template <typename Dtype, typename Function>
void GpuElementwiseBackward(int n, Function f, const Dtype* x, const Dtype* y, const Dtype* dy, Dtype* dx) {
  GpuForEach(n, [=] __device__(int i) { dx[i] = dy[i] * f.Derivative(x[i], y[i]); });
}

template <typename Dtype, typename Function>
void FunctionLayer<Dtype, Function>::ForwardOnGpu(const vector<Blob<Dtype>*>& bottom,
                                                  const vector<Blob<Dtype>*>& top) {
  const int count = bottom[0]->count();
  if (KeepsInput(bottom, top)) {
    input_.ReshapeLike(*bottom[0]);
    caffe_gpu_memcpy(count * sizeof(Dtype), bottom[0]->gpu_data(), input_.mutable_gpu_data());
  }
  GpuElementwiseForward(count, function(), bottom[0]->gpu_data(), top[0]->mutable_gpu_data());
}

template <typename Dtype, typename Function>
void FunctionLayer<Dtype, Function>::BackwardOnGpu(const vector<Blob<Dtype>*>& top,
                                                   const vector<bool>& propagate_down,
                                                   const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  const Dtype* x = (KeepsInput(bottom, top) ? input_ : *bottom[0]).gpu_data();
  GpuElementwiseBackward(bottom[0]->count(), function(), x, top[0]->gpu_data(), top[0]->gpu_diff(),
                         bottom[0]->mutable_gpu_diff());
}

/// Defines and instantiates the GPU half of a layer that is a FunctionLayer.
#define DEFINE_FUNCTION_LAYER_GPU(classname)                                                                \
  template <typename Dtype>                                                                                 \
  void classname<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) { \
    this->ForwardOnGpu(bottom, top);                                                                        \
  }                                                                                                         \
  template <typename Dtype>                                                                                 \
  void classname<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,  \
                                      const vector<Blob<Dtype>*>& bottom) {                                 \
    this->BackwardOnGpu(top, propagate_down, bottom);                                                       \
  }                                                                                                         \
  INSTANTIATE_LAYER_GPU_FUNCS(classname)

}  // namespace caffe

#endif  // CAFFE_UTIL_ELEMENTWISE_CUH_
