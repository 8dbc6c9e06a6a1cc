#include "caffe/layers/accuracy_layer.hpp"

#include "caffe/layers/loss_layer.hpp"
#include "caffe/util/math_functions.hpp"

namespace caffe {

template <typename Dtype>
void AccuracyLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) {
  const AccuracyParameter& param = this->layer_param_.accuracy_param();
  CHECK_GE(param.top_k(), 1u) << "accuracy_param.top_k must be at least 1";
  top_k_ = param.top_k();
  has_ignore_label_ = param.has_ignore_label();
  ignore_label_ = param.ignore_label();
}

template <typename Dtype>
void AccuracyLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  label_axis_ = bottom[0]->CanonicalAxisIndex(this->layer_param_.accuracy_param().axis());
  outer_num_ = bottom[0]->count(0, label_axis_);
  inner_num_ = bottom[0]->count(label_axis_ + 1);
  const int classes = bottom[0]->shape(label_axis_);
  CHECK_LE(top_k_, classes) << "accuracy_param.top_k must not exceed the number of classes";
  CHECK_EQ(static_cast<int64_t>(outer_num_) * inner_num_, bottom[1]->count())
      << "there must be one label for each position of the prediction, of shape "
      << bottom[0]->shape_string();
  top[0]->Reshape(vector<int>());
  if (top.size() < 2) return;
  top[1]->Reshape({classes});
  nums_buffer_.Reshape({classes});
}

template <typename Dtype>
void AccuracyLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const Dtype* scores = bottom[0]->cpu_data();
  const Dtype* labels = bottom[1]->cpu_data();
  const int classes = bottom[0]->shape(label_axis_);
  const bool per_class = top.size() > 1;
  if (per_class) {
    caffe_set(classes, Dtype(0), nums_buffer_.mutable_cpu_data());
    caffe_set(classes, Dtype(0), top[1]->mutable_cpu_data());
  }
  const LabelRule<Dtype> rule = {classes, has_ignore_label_, ignore_label_};
  int hits = 0;
  int count = 0;
  for (int outer = 0; outer < outer_num_; ++outer) {
    for (int inner = 0; inner < inner_num_; ++inner) {
      const int position = outer * inner_num_ + inner;
      if (rule(labels[position]) == rule.kIgnored) continue;
      const int label = CheckedLabel(labels[position], position, classes);
      const Dtype* score = scores + static_cast<int64_t>(outer) * classes * inner_num_ + inner;
      const Dtype own = score[static_cast<int64_t>(label) * inner_num_];
      int at_least = 0;
      for (int c = 0; c < classes && at_least <= top_k_; ++c) {
        at_least += score[static_cast<int64_t>(c) * inner_num_] >= own;
      }
      const bool hit = TopKRule{top_k_}.IsHit(at_least);
      hits += hit;
      ++count;
      if (per_class) {
        nums_buffer_.mutable_cpu_data()[label] += 1;
        top[1]->mutable_cpu_data()[label] += hit;
      }
    }
  }
  top[0]->mutable_cpu_data()[0] = TopKRule::Accuracy<Dtype>(hits, count);
  for (int c = 0; per_class && c < classes; ++c) {
    if (nums_buffer_.cpu_data()[c] > 0) top[1]->mutable_cpu_data()[c] /= nums_buffer_.cpu_data()[c];
  }
}

template <typename Dtype>
void AccuracyLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>&, const vector<bool>& propagate_down,
                                        const vector<Blob<Dtype>*>&) {
  for (const bool propagate : propagate_down) CHECK(!propagate) << "accuracy has no gradient";
}

#ifdef CPU_ONLY
STUB_GPU(AccuracyLayer);
#endif

INSTANTIATE_CLASS(AccuracyLayer);
REGISTER_LAYER_CLASS(Accuracy);

}  // namespace caffe
