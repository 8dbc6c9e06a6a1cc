#include "caffe/layers/softmax_loss_base.hpp"

namespace caffe {

template <typename Dtype>
void SoftmaxLossBase<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  LossLayer<Dtype>::LayerSetUp(bottom, top);
  LayerParameter softmax_param(this->layer_param_);
  softmax_param.set_type("Softmax");
  softmax_param.mutable_softmax_param()->set_axis(class_axis());
  softmax_param.clear_loss_weight();
  softmax_param.clear_blobs();
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
void SoftmaxLossBase<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  LossLayer<Dtype>::Reshape(bottom, top);
  softmax_bottom_vec_ = {bottom[0]};
  softmax_layer_->Reshape(softmax_bottom_vec_, softmax_top_vec_);
  const int axis = bottom[0]->CanonicalAxisIndex(class_axis());
  outer_num_ = bottom[0]->count(0, axis);
  inner_num_ = bottom[0]->count(axis + 1);
  CHECK_EQ(static_cast<int64_t>(outer_num_) * inner_num_, bottom[1]->count())
      << "there must be one label for each position of the prediction: a prediction of shape "
      << bottom[0]->shape_string() << " with its classes on axis " << axis << " takes "
      << static_cast<int64_t>(outer_num_) * inner_num_ << " labels, not " << bottom[1]->count();
  if (top.size() > 1) top[1]->ReshapeLike(*bottom[0]);
}

template <typename Dtype>
Dtype SoftmaxLossBase<Dtype>::get_normalizer(LossParameter_NormalizationMode normalization_mode,
                                             int valid_count) {
  return LossNormalizer<Dtype>(normalization_mode, outer_num_, inner_num_, valid_count);
}

INSTANTIATE_CLASS(SoftmaxLossBase);

}  // namespace caffe
