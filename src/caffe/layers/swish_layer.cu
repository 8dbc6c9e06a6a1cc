#include "caffe/layers/swish_layer.hpp"
#include "caffe/util/gpu_launch.cuh"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/neuron_functions.hpp"

namespace caffe {

namespace {

template <typename Dtype>
void GpuBackward(int count, SwishGradient<Dtype> swish, const Dtype* gate, const Dtype* y, const Dtype* dy,
                 Dtype* dx) {
  GpuForEach(count, [=] __device__(int i) { dx[i] = dy[i] * swish.Derivative(y[i], gate[i]); });
}

}  // namespace

template <typename Dtype>
void SwishLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const int count = bottom[0]->count();
  const Dtype* x = bottom[0]->gpu_data();
  caffe_gpu_scale(count, Dtype(this->layer_param_.swish_param().beta()), x,
                  sigmoid_input_->mutable_gpu_data());
  sigmoid_layer_->Forward(sigmoid_bottom_vec_, sigmoid_top_vec_);
  caffe_gpu_mul(count, x, sigmoid_output_->gpu_data(), top[0]->mutable_gpu_data());
}

template <typename Dtype>
void SwishLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                     const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  const SwishGradient<Dtype> swish = {this->layer_param_.swish_param().beta()};
  GpuBackward(bottom[0]->count(), swish, sigmoid_output_->gpu_data(), top[0]->gpu_data(), top[0]->gpu_diff(),
              bottom[0]->mutable_gpu_diff());
}

INSTANTIATE_LAYER_GPU_FUNCS(SwishLayer);

}  // namespace caffe
