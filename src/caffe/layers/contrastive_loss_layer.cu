#include "caffe/layers/contrastive_loss_layer.hpp"
#include "caffe/util/contrastive.hpp"
#include "caffe/util/gpu_loss.cuh"

namespace caffe {

namespace {

template <typename Dtype>
void SquaredLengths(int num, int features, const Dtype* diff, Dtype* dist_sq) {
  GpuSumRows<Dtype>(
      num, features,
      [=] __device__(int n, int i) {
        const Dtype value = diff[n * features + i];
        return value * value;
      },
      [=] __device__(int n, Dtype sum) { dist_sq[n] = sum; });
}

template <typename Dtype>
LossSum<Dtype> SumLosses(int num, ContrastiveFunction<Dtype> f, const Dtype* similar, const Dtype* dist_sq) {
  return GpuSumLosses<Dtype>(num, [=] __device__(int, int n) {
    return LossSum<Dtype>::Of(f.Loss(f.IsSimilar(similar[n]), dist_sq[n]));
  });
}

template <typename Dtype>
void GpuBackward(int count, int features, ContrastiveFunction<Dtype> f, const Dtype* similar,
                 const Dtype* dist_sq, const Dtype* diff, Dtype weight, Dtype* dx) {
  GpuForEach(count, [=] __device__(int i) {
    const int n = i / features;
    dx[i] = weight * f.Factor(f.IsSimilar(similar[n]), dist_sq[n]) * diff[i];
  });
}

}  // namespace

template <typename Dtype>
void ContrastiveLossLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom,
                                              const vector<Blob<Dtype>*>& top) {
  const int num = bottom[0]->shape(0);
  caffe_gpu_sub(bottom[0]->count(), bottom[0]->gpu_data(), bottom[1]->gpu_data(), diff_.mutable_gpu_data());
  SquaredLengths(num, bottom[0]->count(1), diff_.gpu_data(), dist_sq_.mutable_gpu_data());
  const ContrastiveFunction<Dtype> function(this->layer_param_.contrastive_loss_param());
  const LossSum<Dtype> sum = SumLosses(num, function, bottom[2]->gpu_data(), dist_sq_.gpu_data());
  top[0]->mutable_cpu_data()[0] = function.BatchLoss(sum.loss, num);
}

template <typename Dtype>
void ContrastiveLossLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top,
                                               const vector<bool>& propagate_down,
                                               const vector<Blob<Dtype>*>& bottom) {
  CHECK(!propagate_down[2]) << "similarities have no gradient";
  const ContrastiveFunction<Dtype> function(this->layer_param_.contrastive_loss_param());
  for (int side = 0; side < 2; ++side) {
    if (!propagate_down[side]) continue;
    const Dtype weight = function.SideWeight(side, top[0]->cpu_diff()[0], bottom[0]->shape(0));
    GpuBackward(bottom[0]->count(), bottom[0]->count(1), function, bottom[2]->gpu_data(), dist_sq_.gpu_data(),
                diff_.gpu_data(), weight, bottom[side]->mutable_gpu_diff());
  }
}

INSTANTIATE_LAYER_GPU_FUNCS(ContrastiveLossLayer);

}  // namespace caffe
