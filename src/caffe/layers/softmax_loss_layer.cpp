#include "caffe/layers/softmax_loss_layer.hpp"

#include "caffe/util/math_functions.hpp"

namespace caffe {

template <typename Dtype>
int SoftmaxWithLossLayer<Dtype>::class_axis() const {
  return this->layer_param_.softmax_param().axis();
}

template <typename Dtype>
void SoftmaxWithLossLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom,
                                          const vector<Blob<Dtype>*>& top) {
  SoftmaxLossBase<Dtype>::Reshape(bottom, top);
  softmax_axis_ = bottom[0]->CanonicalAxisIndex(class_axis());
}

template <typename Dtype>
void SoftmaxWithLossLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                                              const vector<Blob<Dtype>*>& top) {
  this->softmax_layer_->Forward(this->softmax_bottom_vec_, this->softmax_top_vec_);
  const Dtype* prob = this->prob_.cpu_data();
  const int inner = this->inner_num_;
  Dtype loss = 0;
  this->valid_count_ = this->ForEachLabel(*bottom[1], [&](int label, int64_t at) {
    if (label < 0) return;
    loss += SoftmaxLossFunction<Dtype>::Loss(prob[at + static_cast<int64_t>(label) * inner]);
  });
  top[0]->mutable_cpu_data()[0] = loss / this->get_normalizer(this->normalization_, this->valid_count_);
  if (top.size() > 1) top[1]->ShareData(this->prob_);
}

template <typename Dtype>
void SoftmaxWithLossLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top,
                                               const vector<bool>& propagate_down,
                                               const vector<Blob<Dtype>*>& bottom) {
  CHECK(!propagate_down[1]) << "labels have no gradient";
  if (!propagate_down[0]) return;
  Dtype* dx = bottom[0]->mutable_cpu_diff();
  caffe_copy(this->prob_.count(), this->prob_.cpu_data(), dx);
  const int classes = this->prob_.shape(softmax_axis_), inner = this->inner_num_;
  const int count = this->ForEachLabel(*bottom[1], [=](int label, int64_t at) {
    if (label >= 0) {
      Dtype& gradient = dx[at + static_cast<int64_t>(label) * inner];
      gradient = SoftmaxLossFunction<Dtype>::Gradient(gradient, true);
    } else {
      for (int c = 0; c < classes; ++c) dx[at + static_cast<int64_t>(c) * inner] = 0;
    }
  });
  caffe_scal(this->prob_.count(), top[0]->cpu_diff()[0] / this->get_normalizer(this->normalization_, count),
             dx);
}

#ifdef CPU_ONLY
STUB_GPU(SoftmaxWithLossLayer);
#endif

INSTANTIATE_CLASS(SoftmaxWithLossLayer);
REGISTER_LAYER_CLASS(SoftmaxWithLoss);

}  // namespace caffe
