#include "caffe/layers/hinge_loss_layer.hpp"
#include "caffe/util/gpu_loss.cuh"

namespace caffe {

namespace {

template <typename Dtype>
LossSum<Dtype> SumLosses(int count, HingeFunction<Dtype> f, LabelRule<Dtype> rule, const Dtype* labels,
                         const Dtype* x) {
  return GpuSumLosses<Dtype>(count, [=] __device__(int, int i) {
    const int n = i / rule.classes, label = rule(labels[n]);
    if (label == rule.kWrong) return LossSum<Dtype>::Wrong(n);
    return LossSum<Dtype>::Of(f.Loss(f.Margin(f.Target(i % rule.classes == label), x[i])));
  });
}

template <typename Dtype>
void GpuBackward(int count, HingeFunction<Dtype> f, LabelRule<Dtype> rule, const Dtype* labels,
                 const Dtype* x, Dtype weight, Dtype* diff) {
  GpuForEach(count, [=] __device__(int i) {
    const Dtype target = f.Target(i % rule.classes == rule(labels[i / rule.classes]));
    diff[i] = f.Gradient(target, f.Margin(target, x[i]), weight);
  });
}

}  // namespace

template <typename Dtype>
void HingeLossLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const int classes = bottom[0]->count(1);
  const LossSum<Dtype> sum = SumLosses(bottom[0]->count(), function(), {classes, false, 0},
                                       bottom[1]->gpu_data(), bottom[0]->gpu_data());
  CheckLabels(sum.wrong, *bottom[1], classes);
  top[0]->mutable_cpu_data()[0] = sum.loss / bottom[0]->shape(0);
}

template <typename Dtype>
void HingeLossLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                         const vector<Blob<Dtype>*>& bottom) {
  CHECK(!propagate_down[1]) << "labels have no gradient";
  if (!propagate_down[0]) return;
  GpuBackward(bottom[0]->count(), function(), {bottom[0]->count(1), false, 0}, bottom[1]->gpu_data(),
              bottom[0]->gpu_data(), top[0]->cpu_diff()[0] / bottom[0]->shape(0),
              bottom[0]->mutable_gpu_diff());
}

INSTANTIATE_LAYER_GPU_FUNCS(HingeLossLayer);

}  // namespace caffe
