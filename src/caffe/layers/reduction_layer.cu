#include "caffe/layers/reduction_layer.hpp"
#include "caffe/util/gpu_launch.cuh"
#include "caffe/util/reduction_functions.hpp"

namespace caffe {

namespace {

template <typename Dtype, typename Function>
void SumRows(int rows, int dim, Dtype coeff, Function f, const Dtype* x, Dtype* y) {
  GpuSumRows<Dtype>(
      rows, dim, [=] __device__(int row, int i) { return f.Forward(x[row * dim + i]); },
      [=] __device__(int row, Dtype sum) { y[row] = coeff * sum; });
}

template <typename Dtype, typename Function>
void SpreadRows(int count, int dim, Dtype coeff, Function f, const Dtype* x, const Dtype* y, const Dtype* dy,
                Dtype* dx) {
  GpuForEach(count, [=] __device__(int i) {
    const int row = i / dim;
    dx[i] = coeff * dy[row] * f.Derivative(x[i], y[row]);
  });
}

}  // namespace

template <typename Dtype>
void ReductionLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const Dtype* x = bottom[0]->gpu_data();
  Dtype* y = top[0]->mutable_gpu_data();
  WithReductionFunction<Dtype>(op_, [&](auto f) { SumRows(num_, dim_, coeff_, f, x, y); });
}

template <typename Dtype>
void ReductionLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                         const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  const Dtype* x = bottom[0]->gpu_data();
  const Dtype* y = top[0]->gpu_data();
  const Dtype* dy = top[0]->gpu_diff();
  Dtype* dx = bottom[0]->mutable_gpu_diff();
  WithReductionFunction<Dtype>(
      op_, [&](auto f) { SpreadRows(bottom[0]->count(), dim_, coeff_, f, x, y, dy, dx); });
}

INSTANTIATE_LAYER_GPU_FUNCS(ReductionLayer);

}  // namespace caffe
