#include "caffe/layers/hinge_loss_layer.hpp"

namespace caffe {

namespace {

// Calls body(i, target, margin) for each score, with the target +1 or -1 and the margin that it misses.
template <typename Dtype, typename Body>
void ForMargins(const Blob<Dtype>& scores, const Blob<Dtype>& labels, Body body) {
  const Dtype* x = scores.cpu_data();
  const int num = scores.shape(0), classes = scores.count(1);
  for (int n = 0; n < num; ++n) {
    const int label = CheckedLabel(labels.cpu_data()[n], n, classes);
    for (int k = 0; k < classes; ++k) {
      const int64_t i = static_cast<int64_t>(n) * classes + k;
      const Dtype target = HingeFunction<Dtype>::Target(k == label);
      body(i, target, HingeFunction<Dtype>::Margin(target, x[i]));
    }
  }
}

}  // namespace

template <typename Dtype>
void HingeLossLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  LossLayer<Dtype>::Reshape(bottom, top);
  CheckOneLabelEach(*bottom[0], *bottom[1]);
}

template <typename Dtype>
HingeFunction<Dtype> HingeLossLayer<Dtype>::function() const {
  return {this->layer_param_.hinge_loss_param().norm() == HingeLossParameter_Norm_L2};
}

template <typename Dtype>
void HingeLossLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const HingeFunction<Dtype> f = function();
  Dtype loss = 0;
  ForMargins(*bottom[0], *bottom[1], [&](int64_t, Dtype, Dtype margin) { loss += f.Loss(margin); });
  top[0]->mutable_cpu_data()[0] = loss / bottom[0]->shape(0);
}

template <typename Dtype>
void HingeLossLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                         const vector<Blob<Dtype>*>& bottom) {
  CHECK(!propagate_down[1]) << "labels have no gradient";
  if (!propagate_down[0]) return;
  const HingeFunction<Dtype> f = function();
  const Dtype weight = top[0]->cpu_diff()[0] / bottom[0]->shape(0);
  Dtype* diff = bottom[0]->mutable_cpu_diff();
  ForMargins(*bottom[0], *bottom[1],
             [=](int64_t i, Dtype target, Dtype margin) { diff[i] = f.Gradient(target, margin, weight); });
}

#ifdef CPU_ONLY
STUB_GPU(HingeLossLayer);
#endif

INSTANTIATE_CLASS(HingeLossLayer);
REGISTER_LAYER_CLASS(HingeLoss);

}  // namespace caffe
