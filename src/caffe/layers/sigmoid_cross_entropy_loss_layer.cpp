#include "caffe/layers/sigmoid_cross_entropy_loss_layer.hpp"

#include <memory>

#include "caffe/util/inner_layer.hpp"

namespace caffe {

template <typename Dtype>
void SigmoidCrossEntropyLossLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom,
                                                     const vector<Blob<Dtype>*>& top) {
  LossLayer<Dtype>::LayerSetUp(bottom, top);
  const LossParameter& param = this->layer_param_.loss_param();
  has_ignore_label_ = param.has_ignore_label();
  ignore_label_ = param.ignore_label();
  normalization_ = LossNormalizationMode(param, LossParameter_NormalizationMode_BATCH_SIZE);
  sigmoid_output_ = std::make_shared<Blob<Dtype>>();
  sigmoid_bottom_vec_ = {bottom[0]};
  sigmoid_top_vec_ = {sigmoid_output_.get()};
  sigmoid_layer_ =
      std::make_shared<SigmoidLayer<Dtype>>(InnerLayer(this->layer_param_, "Sigmoid", "probabilities"));
  sigmoid_layer_->SetUp(sigmoid_bottom_vec_, sigmoid_top_vec_);
}

template <typename Dtype>
void SigmoidCrossEntropyLossLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom,
                                                  const vector<Blob<Dtype>*>& top) {
  LossLayer<Dtype>::Reshape(bottom, top);
  CHECK_EQ(bottom[0]->count(), bottom[1]->count())
      << "there must be one target for each prediction; the shapes are " << bottom[0]->shape_string()
      << " and " << bottom[1]->shape_string();
  outer_num_ = bottom[0]->shape(0);
  inner_num_ = bottom[0]->count(1);
  sigmoid_layer_->Reshape({bottom[0]}, sigmoid_top_vec_);
}

template <typename Dtype>
Dtype SigmoidCrossEntropyLossLayer<Dtype>::get_normalizer(LossParameter_NormalizationMode normalization_mode,
                                                          int valid_count) {
  return LossNormalizer<Dtype>(normalization_mode, outer_num_, inner_num_, valid_count);
}

template <typename Dtype>
void SigmoidCrossEntropyLossLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                                                      const vector<Blob<Dtype>*>& top) {
  sigmoid_bottom_vec_[0] = bottom[0];
  sigmoid_layer_->Forward(sigmoid_bottom_vec_, sigmoid_top_vec_);
  const Dtype* x = bottom[0]->cpu_data();
  const Dtype* target = bottom[1]->cpu_data();
  const SigmoidCrossEntropyFunction<Dtype> f = {has_ignore_label_, ignore_label_};
  Dtype loss = 0;
  int valid_count = 0;
  for (int i = 0; i < bottom[0]->count(); ++i) {
    if (f.Ignores(target[i])) continue;
    loss += f.Loss(x[i], target[i]);
    ++valid_count;
  }
  normalizer_ = get_normalizer(normalization_, valid_count);
  top[0]->mutable_cpu_data()[0] = loss / normalizer_;
}

template <typename Dtype>
void SigmoidCrossEntropyLossLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top,
                                                       const vector<bool>& propagate_down,
                                                       const vector<Blob<Dtype>*>& bottom) {
  CHECK(!propagate_down[1]) << "targets have no gradient";
  if (!propagate_down[0]) return;
  const Dtype* probability = sigmoid_output_->cpu_data();
  const Dtype* target = bottom[1]->cpu_data();
  Dtype* dx = bottom[0]->mutable_cpu_diff();
  const Dtype weight = top[0]->cpu_diff()[0] / normalizer_;
  const SigmoidCrossEntropyFunction<Dtype> f = {has_ignore_label_, ignore_label_};
  for (int i = 0; i < bottom[0]->count(); ++i) {
    dx[i] = f.Ignores(target[i]) ? Dtype(0) : weight * f.Gradient(probability[i], target[i]);
  }
}

#ifdef CPU_ONLY
STUB_GPU(SigmoidCrossEntropyLossLayer);
#endif

INSTANTIATE_CLASS(SigmoidCrossEntropyLossLayer);
REGISTER_LAYER_CLASS(SigmoidCrossEntropyLoss);

}  // namespace caffe
