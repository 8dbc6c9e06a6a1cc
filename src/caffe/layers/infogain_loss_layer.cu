#include "caffe/layers/infogain_loss_layer.hpp"
#include "caffe/util/gpu_axis.cuh"
#include "caffe/util/gpu_loss.cuh"

namespace caffe {

namespace {

template <typename Dtype>
LossSum<Dtype> SumLosses(int positions, GpuAxis axis, LabelRule<Dtype> rule, const Dtype* labels,
                         const Dtype* infogain, const Dtype* prob) {
  return GpuSumLosses<Dtype>(positions * axis.size, [=] __device__(int, int i) {
    const int at = axis.PositionOf(i), k = axis.PlaceOf(i);
    const int label = rule(labels[at]);
    if (label == rule.kWrong) return LossSum<Dtype>::Wrong(at);
    if (label == rule.kIgnored) return LossSum<Dtype>::None();
    // A position counts once.
    return LossSum<Dtype>{InfogainFunction<Dtype>::Loss(prob[i], infogain[label * axis.size + k]), k == 0,
                          LossSum<Dtype>::kNoneWrong};
  });
}

template <typename Dtype>
void SumRows(int classes, const Dtype* infogain, Dtype* sums) {
  GpuSumRows<Dtype>(
      classes, classes, [=] __device__(int row, int k) { return infogain[row * classes + k]; },
      [=] __device__(int row, Dtype sum) { sums[row] = sum; });
}

template <typename Dtype>
void GpuBackward(int count, GpuAxis axis, LabelRule<Dtype> rule, const Dtype* labels, const Dtype* infogain,
                 const Dtype* row_sums, const Dtype* prob, Dtype weight, Dtype* dx) {
  GpuForEach(count, [=] __device__(int i) {
    const int label = rule(labels[axis.PositionOf(i)]);
    dx[i] = label < 0 ? Dtype(0)
                      : weight * InfogainFunction<Dtype>::Gradient(
                                     prob[i], infogain[label * axis.size + axis.PlaceOf(i)], row_sums[label]);
  });
}

}  // namespace

template <typename Dtype>
void InfogainLossLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom,
                                           const vector<Blob<Dtype>*>& top) {
  this->softmax_layer_->Forward(this->softmax_bottom_vec_, this->softmax_top_vec_);
  const LabelRule<Dtype> rule = this->label_rule();
  const LossSum<Dtype> sum = SumLosses(
      this->outer_num_ * this->inner_num_, {num_labels_, this->inner_num_}, rule, bottom[1]->gpu_data(),
      (bottom.size() > 2 ? *bottom[2] : infogain_).gpu_data(), this->prob_.gpu_data());
  CheckLabels(sum.wrong, *bottom[1], rule.classes);
  this->valid_count_ = sum.count;
  top[0]->mutable_cpu_data()[0] = sum.loss / this->get_normalizer(this->normalization_, sum.count);
  if (top.size() > 1) top[1]->ShareData(this->prob_);
}

template <typename Dtype>
void InfogainLossLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top,
                                            const vector<bool>& propagate_down,
                                            const vector<Blob<Dtype>*>& bottom) {
  CHECK(!propagate_down[1]) << "labels have no gradient";
  CHECK(bottom.size() == 2 || !propagate_down[2]) << "the matrix H has no gradient";
  if (!propagate_down[0]) return;
  // Here even where the sums of H are on the host: those are added up in another order.
  const Dtype* infogain = (bottom.size() > 2 ? *bottom[2] : infogain_).gpu_data();
  SumRows(num_labels_, infogain, sum_rows_H_.mutable_gpu_data());
  const Dtype weight = top[0]->cpu_diff()[0] / this->get_normalizer(this->normalization_, this->valid_count_);
  GpuBackward(bottom[0]->count(), {num_labels_, this->inner_num_}, this->label_rule(), bottom[1]->gpu_data(),
              infogain, sum_rows_H_.gpu_data(), this->prob_.gpu_data(), weight,
              bottom[0]->mutable_gpu_diff());
}

INSTANTIATE_LAYER_GPU_FUNCS(InfogainLossLayer);

}  // namespace caffe
