#include "caffe/layers/softmax_loss_layer.hpp"
#include "caffe/util/gpu_axis.cuh"
#include "caffe/util/gpu_loss.cuh"

namespace caffe {

namespace {

template <typename Dtype>
LossSum<Dtype> SumLosses(int positions, GpuAxis axis, LabelRule<Dtype> rule, const Dtype* labels,
                         const Dtype* prob) {
  return GpuSumLosses<Dtype>(positions, [=] __device__(int, int at) {
    const int label = rule(labels[at]);
    if (label == rule.kWrong) return LossSum<Dtype>::Wrong(at);
    if (label == rule.kIgnored) return LossSum<Dtype>::None();
    return LossSum<Dtype>::Of(SoftmaxLossFunction<Dtype>::Loss(prob[axis.Index(at, label)]));
  });
}

template <typename Dtype>
void GpuBackward(int count, GpuAxis axis, LabelRule<Dtype> rule, const Dtype* labels, const Dtype* prob,
                 Dtype weight, Dtype* dx) {
  GpuForEach(count, [=] __device__(int i) {
    const int label = rule(labels[axis.PositionOf(i)]);
    dx[i] = label < 0 ? Dtype(0)
                      : weight * SoftmaxLossFunction<Dtype>::Gradient(prob[i], axis.PlaceOf(i) == label);
  });
}

}  // namespace

template <typename Dtype>
void SoftmaxWithLossLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom,
                                              const vector<Blob<Dtype>*>& top) {
  this->softmax_layer_->Forward(this->softmax_bottom_vec_, this->softmax_top_vec_);
  const LabelRule<Dtype> rule = this->label_rule();
  const LossSum<Dtype> sum = SumLosses(this->outer_num_ * this->inner_num_, {rule.classes, this->inner_num_},
                                       rule, bottom[1]->gpu_data(), this->prob_.gpu_data());
  CheckLabels(sum.wrong, *bottom[1], rule.classes);
  this->valid_count_ = sum.count;
  top[0]->mutable_cpu_data()[0] = sum.loss / this->get_normalizer(this->normalization_, sum.count);
  if (top.size() > 1) top[1]->ShareData(this->prob_);
}

template <typename Dtype>
void SoftmaxWithLossLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top,
                                               const vector<bool>& propagate_down,
                                               const vector<Blob<Dtype>*>& bottom) {
  CHECK(!propagate_down[1]) << "labels have no gradient";
  if (!propagate_down[0]) return;
  const LabelRule<Dtype> rule = this->label_rule();
  const Dtype weight = top[0]->cpu_diff()[0] / this->get_normalizer(this->normalization_, this->valid_count_);
  GpuBackward(this->prob_.count(), {rule.classes, this->inner_num_}, rule, bottom[1]->gpu_data(),
              this->prob_.gpu_data(), weight, bottom[0]->mutable_gpu_diff());
}

INSTANTIATE_LAYER_GPU_FUNCS(SoftmaxWithLossLayer);

}  // namespace caffe
