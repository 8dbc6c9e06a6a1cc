#ifndef CAFFE_UTIL_ELEMENTWISE_CUH_
#define CAFFE_UTIL_ELEMENTWISE_CUH_

/// @file
/// What caffe/util/elementwise.hpp does, on the GPU, and with it the GPU halves of the function layers.

#include <cstdint>

#include "caffe/layers/neuron_layer.hpp"
#include "caffe/util/gpu_launch.cuh"
#include "caffe/util/math_functions.hpp"

namespace caffe {

namespace elementwise {

/// What a thread reads and writes at once: with single numbers, too few bytes are under way to keep a GPU's
/// memory busy.
template <typename Dtype>
struct alignas(16) Pack {
  static constexpr int kSize = 16 / sizeof(Dtype);
  Dtype values[kSize];
};

/// How many packs the arrays begin with, of n elements each; none where one of them is not aligned.
template <typename Dtype, typename... Pointers>
int CountPacks(int n, Pointers... arrays) {
  const bool aligned = ((reinterpret_cast<uintptr_t>(arrays) % sizeof(Pack<Dtype>) == 0) && ...);
  return aligned ? n / Pack<Dtype>::kSize : 0;
}

}  // namespace elementwise

/// y[i] = f.Forward(x[i]); y may be x.
template <typename Dtype, typename Function>
void GpuElementwiseForward(int n, Function f, const Dtype* x, Dtype* y) {
  using Pack = elementwise::Pack<Dtype>;
  const int packs = elementwise::CountPacks<Dtype>(n, x, y), done = packs * Pack::kSize;
  GpuForEach(packs, [=] __device__(int i) {
    Pack pack = reinterpret_cast<const Pack*>(x)[i];
    for (Dtype& value : pack.values) value = f.Forward(value);
    reinterpret_cast<Pack*>(y)[i] = pack;
  });
  GpuForEach(n - done, [=] __device__(int i) { y[done + i] = f.Forward(x[done + i]); });
}

/// dx[i] = dy[i] f.Derivative(x[i], y[i]); dx may be dy.
template <typename Dtype, typename Function>
void GpuElementwiseBackward(int n, Function f, const Dtype* x, const Dtype* y, const Dtype* dy, Dtype* dx) {
  using Pack = elementwise::Pack<Dtype>;
  const int packs = elementwise::CountPacks<Dtype>(n, x, y, dy, dx), done = packs * Pack::kSize;
  GpuForEach(packs, [=] __device__(int i) {
    const Pack in = reinterpret_cast<const Pack*>(x)[i], out = reinterpret_cast<const Pack*>(y)[i];
    Pack gradient = reinterpret_cast<const Pack*>(dy)[i];
    for (int k = 0; k < Pack::kSize; ++k) gradient.values[k] *= f.Derivative(in.values[k], out.values[k]);
    reinterpret_cast<Pack*>(dx)[i] = gradient;
  });
  GpuForEach(n - done, [=] __device__(int i) {
    const int at = done + i;
    dx[at] = dy[at] * f.Derivative(x[at], y[at]);
  });
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
