#include <limits>

#include "caffe/layers/softmax_layer.hpp"
#include "caffe/util/gpu_axis.cuh"

namespace caffe {

namespace {

template <typename Dtype>
struct Larger {
  CAFFE_HOST_DEVICE Dtype operator()(Dtype a, Dtype b) const { return a < b ? b : a; }
};

template <typename Dtype>
void GpuForward(int positions, GpuAxis axis, const Dtype* x, Dtype* largest, Dtype* y) {
  GpuReduceAxis(
      positions, axis, [=] __device__(int at, int c) { return x[axis.Index(at, c)]; }, Larger<Dtype>(),
      -std::numeric_limits<Dtype>::infinity(), [=] __device__(int at, Dtype value) { largest[at] = value; });
  const GpuArray<Dtype> sums(positions);
  Dtype* const sum = sums.get();
  // Less the largest, no exponential overflows.
  GpuSumAxis<Dtype>(
      positions, axis, [=] __device__(int at, int c) { return std::exp(x[axis.Index(at, c)] - largest[at]); },
      [=] __device__(int at, Dtype value) { sum[at] = value; });
  GpuForEach(positions * axis.size, [=] __device__(int i) {
    const int at = axis.PositionOf(i);
    y[i] = std::exp(x[i] - largest[at]) / sum[at];
  });
}

template <typename Dtype>
void GpuBackward(int positions, GpuAxis axis, const Dtype* y, const Dtype* dy, Dtype* dot, Dtype* dx) {
  GpuSumAxis<Dtype>(
      positions, axis,
      [=] __device__(int at, int c) {
        const int i = axis.Index(at, c);
        return y[i] * dy[i];
      },
      [=] __device__(int at, Dtype value) { dot[at] = value; });
  GpuForEach(positions * axis.size,
             [=] __device__(int i) { dx[i] = y[i] * (dy[i] - dot[axis.PositionOf(i)]); });
}

}  // namespace

template <typename Dtype>
void SoftmaxLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  if (bottom[0]->count() == 0) return;
  GpuForward(outer_num_ * inner_num_, {bottom[0]->shape(softmax_axis_), inner_num_}, bottom[0]->gpu_data(),
             scale_.mutable_gpu_data(), top[0]->mutable_gpu_data());
}

template <typename Dtype>
void SoftmaxLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                       const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0] || top[0]->count() == 0) return;
  GpuBackward(outer_num_ * inner_num_, {top[0]->shape(softmax_axis_), inner_num_}, top[0]->gpu_data(),
              top[0]->gpu_diff(), scale_.mutable_gpu_data(), bottom[0]->mutable_gpu_diff());
}

INSTANTIATE_LAYER_GPU_FUNCS(SoftmaxLayer);

}  // namespace caffe
