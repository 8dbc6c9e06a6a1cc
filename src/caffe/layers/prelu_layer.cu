#include "caffe/layers/prelu_layer.hpp"
#include "caffe/util/gpu_launch.cuh"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/neuron_functions.hpp"

namespace caffe {

namespace {

template <typename Dtype>
void GpuForward(int count, ChannelExtent extent, const Dtype* slope, const Dtype* x, Dtype* y) {
  GpuForEach(count, [=] __device__(int i) {
    y[i] = ReluFunction<Dtype>{slope[i / extent.inner % extent.channels]}.Forward(x[i]);
  });
}

template <typename Dtype>
void GpuBackward(int count, ChannelExtent extent, const Dtype* slope, const Dtype* x, const Dtype* dy,
                 Dtype* dx) {
  GpuForEach(count, [=] __device__(int i) {
    dx[i] = dy[i] * ReluFunction<Dtype>{slope[i / extent.inner % extent.channels]}.Derivative(x[i], x[i]);
  });
}

template <typename Dtype>
void AddSlopeGradients(ChannelExtent extent, const Dtype* x, const Dtype* dy, Dtype* slope_diff) {
  GpuSumRows<Dtype>(
      extent.channels, extent.outer * extent.inner,
      [=] __device__(int c, int i) {
        const int at = (i / extent.inner * extent.channels + c) * extent.inner + i % extent.inner;
        return SlopeGradient<Dtype>::Of(x[at], dy[at]);
      },
      [=] __device__(int c, Dtype sum) { slope_diff[c] += sum; });
}

}  // namespace

template <typename Dtype>
void PReLULayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const int count = bottom[0]->count();
  const Dtype* x = bottom[0]->gpu_data();
  if (bottom[0] == top[0]) caffe_gpu_memcpy(count * sizeof(Dtype), x, bottom_memory_.mutable_gpu_data());
  GpuForward(count, SlopeExtent(*bottom[0]), this->blobs_[0]->gpu_data(), x, top[0]->mutable_gpu_data());
}

template <typename Dtype>
void PReLULayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                     const vector<Blob<Dtype>*>& bottom) {
  const Dtype* x = (bottom[0] == top[0] ? bottom_memory_ : *bottom[0]).gpu_data();
  const Dtype* dy = top[0]->gpu_diff();
  const ChannelExtent extent = SlopeExtent(*bottom[0]);
  if (this->param_propagate_down_[0]) {
    AddSlopeGradients(extent, x, dy, this->blobs_[0]->mutable_gpu_diff());
  }
  // Last: in place, its gradient is the top's.
  if (!propagate_down[0]) return;
  GpuBackward(bottom[0]->count(), extent, this->blobs_[0]->gpu_data(), x, dy, bottom[0]->mutable_gpu_diff());
}

INSTANTIATE_LAYER_GPU_FUNCS(PReLULayer);

}  // namespace caffe
