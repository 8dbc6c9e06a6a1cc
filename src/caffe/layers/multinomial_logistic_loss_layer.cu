#include "caffe/layers/multinomial_logistic_loss_layer.hpp"
#include "caffe/util/gpu_loss.cuh"

namespace caffe {

namespace {

template <typename Dtype>
LossSum<Dtype> SumLosses(int num, LabelRule<Dtype> rule, const Dtype* labels, const Dtype* prob) {
  return GpuSumLosses<Dtype>(num, [=] __device__(int, int n) {
    const int label = rule(labels[n]);
    if (label == rule.kWrong) return LossSum<Dtype>::Wrong(n);
    return LossSum<Dtype>::Of(MultinomialLossFunction<Dtype>::Loss(prob[n * rule.classes + label]));
  });
}

template <typename Dtype>
void GpuBackward(int count, LabelRule<Dtype> rule, const Dtype* labels, const Dtype* prob, Dtype weight,
                 Dtype* diff) {
  GpuForEach(count, [=] __device__(int i) {
    const bool is_label = rule(labels[i / rule.classes]) == i % rule.classes;
    diff[i] = is_label ? MultinomialLossFunction<Dtype>::Gradient(prob[i], weight) : Dtype(0);
  });
}

}  // namespace

template <typename Dtype>
void MultinomialLogisticLossLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom,
                                                      const vector<Blob<Dtype>*>& top) {
  const int num = bottom[0]->shape(0), classes = bottom[0]->count(1);
  const LossSum<Dtype> sum =
      SumLosses(num, {classes, false, 0}, bottom[1]->gpu_data(), bottom[0]->gpu_data());
  CheckLabels(sum.wrong, *bottom[1], classes);
  top[0]->mutable_cpu_data()[0] = sum.loss / num;
}

template <typename Dtype>
void MultinomialLogisticLossLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top,
                                                       const vector<bool>& propagate_down,
                                                       const vector<Blob<Dtype>*>& bottom) {
  CHECK(!propagate_down[1]) << "labels have no gradient";
  if (!propagate_down[0]) return;
  GpuBackward(bottom[0]->count(), {bottom[0]->count(1), false, 0}, bottom[1]->gpu_data(),
              bottom[0]->gpu_data(), top[0]->cpu_diff()[0] / bottom[0]->shape(0),
              bottom[0]->mutable_gpu_diff());
}

INSTANTIATE_LAYER_GPU_FUNCS(MultinomialLogisticLossLayer);

}  // namespace caffe
