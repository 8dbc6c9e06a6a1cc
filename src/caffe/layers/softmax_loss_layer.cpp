#include "caffe/layers/softmax_loss_layer.hpp"

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "caffe/util/math_functions.hpp"

namespace caffe {

template <typename Dtype>
void SoftmaxWithLossLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom,
                                             const vector<Blob<Dtype>*>& top) {
  LossLayer<Dtype>::LayerSetUp(bottom, top);
  // A weight for the loss alone: the softmax that comes out as well is none.
  if (top.size() > 1 && this->layer_param_.loss_weight_size() == 1) this->layer_param_.add_loss_weight(0);
  LayerParameter softmax_param(this->layer_param_);
  softmax_param.set_type("Softmax");
  softmax_param.clear_loss_weight();
  softmax_layer_ = LayerRegistry<Dtype>::CreateLayer(softmax_param);
  softmax_bottom_vec_ = {bottom[0]};
  softmax_top_vec_ = {&prob_};
  softmax_layer_->SetUp(softmax_bottom_vec_, softmax_top_vec_);
  const LossParameter& loss_param = this->layer_param_.loss_param();
  has_ignore_label_ = loss_param.has_ignore_label();
  ignore_label_ = loss_param.ignore_label();
  normalization_ = LossNormalizationMode(loss_param, LossParameter_NormalizationMode_VALID);
}

template <typename Dtype>
void SoftmaxWithLossLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom,
                                          const vector<Blob<Dtype>*>& top) {
  LossLayer<Dtype>::Reshape(bottom, top);
  softmax_bottom_vec_ = {bottom[0]};
  softmax_layer_->Reshape(softmax_bottom_vec_, softmax_top_vec_);
  softmax_axis_ = bottom[0]->CanonicalAxisIndex(this->layer_param_.softmax_param().axis());
  outer_num_ = bottom[0]->count(0, softmax_axis_);
  inner_num_ = bottom[0]->count(softmax_axis_ + 1);
  CHECK_EQ(static_cast<int64_t>(outer_num_) * inner_num_, bottom[1]->count())
      << "there must be one label for each position of the prediction: a prediction of shape "
      << bottom[0]->shape_string() << " with its classes on axis " << softmax_axis_ << " takes "
      << static_cast<int64_t>(outer_num_) * inner_num_ << " labels, not " << bottom[1]->count();
  if (top.size() > 1) top[1]->ReshapeLike(*bottom[0]);
}

template <typename Dtype>
Dtype SoftmaxWithLossLayer<Dtype>::get_normalizer(LossParameter_NormalizationMode normalization_mode,
                                                  int valid_count) {
  return LossNormalizer<Dtype>(normalization_mode, outer_num_, inner_num_, valid_count);
}

template <typename Dtype>
void SoftmaxWithLossLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                                              const vector<Blob<Dtype>*>& top) {
  softmax_layer_->Forward(softmax_bottom_vec_, softmax_top_vec_);
  const Dtype* prob = prob_.cpu_data();
  const Dtype* label = bottom[1]->cpu_data();
  const int classes = prob_.shape(softmax_axis_);
  int count = 0;
  Dtype loss = 0;
  for (int outer = 0; outer < outer_num_; ++outer) {
    for (int inner = 0; inner < inner_num_; ++inner) {
      const int position = outer * inner_num_ + inner;
      if (has_ignore_label_ && label[position] == ignore_label_) continue;
      const int value = CheckedLabel(label[position], position, classes);
      const Dtype p = prob[(static_cast<int64_t>(outer) * classes + value) * inner_num_ + inner];
      // Not max(): a NaN must come through.
      loss -= std::log(p < Dtype(FLT_MIN) ? Dtype(FLT_MIN) : p);
      ++count;
    }
  }
  top[0]->mutable_cpu_data()[0] = loss / get_normalizer(normalization_, count);
  if (top.size() > 1) top[1]->ShareData(prob_);
}

template <typename Dtype>
void SoftmaxWithLossLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top,
                                               const vector<bool>& propagate_down,
                                               const vector<Blob<Dtype>*>& bottom) {
  CHECK(!propagate_down[1]) << "labels have no gradient";
  if (!propagate_down[0]) return;
  Dtype* dx = bottom[0]->mutable_cpu_diff();
  caffe_copy(prob_.count(), prob_.cpu_data(), dx);
  const Dtype* label = bottom[1]->cpu_data();
  const int classes = prob_.shape(softmax_axis_);
  int count = 0;
  for (int outer = 0; outer < outer_num_; ++outer) {
    for (int inner = 0; inner < inner_num_; ++inner) {
      const int position = outer * inner_num_ + inner;
      Dtype* scores = dx + static_cast<int64_t>(outer) * classes * inner_num_ + inner;
      if (has_ignore_label_ && label[position] == ignore_label_) {
        for (int c = 0; c < classes; ++c) scores[static_cast<int64_t>(c) * inner_num_] = 0;
        continue;
      }
      scores[static_cast<int64_t>(CheckedLabel(label[position], position, classes)) * inner_num_] -= 1;
      ++count;
    }
  }
  caffe_scal(prob_.count(), top[0]->cpu_diff()[0] / get_normalizer(normalization_, count), dx);
}

#ifdef CPU_ONLY
STUB_GPU(SoftmaxWithLossLayer);
#endif

INSTANTIATE_CLASS(SoftmaxWithLossLayer);
REGISTER_LAYER_CLASS(SoftmaxWithLoss);

}  // namespace caffe
