#include "caffe/layers/sigmoid_cross_entropy_loss_layer.hpp"
#include "caffe/util/gpu_loss.cuh"

namespace caffe {

namespace {

template <typename Dtype>
LossSum<Dtype> SumLosses(int count, SigmoidCrossEntropyFunction<Dtype> f, const Dtype* x,
                         const Dtype* target) {
  return GpuSumLosses<Dtype>(count, [=] __device__(int, int i) {
    return f.Ignores(target[i]) ? LossSum<Dtype>::None() : LossSum<Dtype>::Of(f.Loss(x[i], target[i]));
  });
}

template <typename Dtype>
void GpuBackward(int count, SigmoidCrossEntropyFunction<Dtype> f, const Dtype* probability,
                 const Dtype* target, Dtype weight, Dtype* dx) {
  GpuForEach(count, [=] __device__(int i) {
    dx[i] = f.Ignores(target[i]) ? Dtype(0) : weight * f.Gradient(probability[i], target[i]);
  });
}

}  // namespace

template <typename Dtype>
void SigmoidCrossEntropyLossLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom,
                                                      const vector<Blob<Dtype>*>& top) {
  sigmoid_bottom_vec_[0] = bottom[0];
  sigmoid_layer_->Forward(sigmoid_bottom_vec_, sigmoid_top_vec_);
  const LossSum<Dtype> sum = SumLosses<Dtype>(bottom[0]->count(), {has_ignore_label_, ignore_label_},
                                              bottom[0]->gpu_data(), bottom[1]->gpu_data());
  normalizer_ = get_normalizer(normalization_, sum.count);
  top[0]->mutable_cpu_data()[0] = sum.loss / normalizer_;
}

template <typename Dtype>
void SigmoidCrossEntropyLossLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top,
                                                       const vector<bool>& propagate_down,
                                                       const vector<Blob<Dtype>*>& bottom) {
  CHECK(!propagate_down[1]) << "targets have no gradient";
  if (!propagate_down[0]) return;
  GpuBackward<Dtype>(bottom[0]->count(), {has_ignore_label_, ignore_label_}, sigmoid_output_->gpu_data(),
                     bottom[1]->gpu_data(), top[0]->cpu_diff()[0] / normalizer_,
                     bottom[0]->mutable_gpu_diff());
}

INSTANTIATE_LAYER_GPU_FUNCS(SigmoidCrossEntropyLossLayer);

}  // namespace caffe
