#include "caffe/layers/multinomial_logistic_loss_layer.hpp"

#include "caffe/util/math_functions.hpp"

namespace caffe {

template <typename Dtype>
void MultinomialLogisticLossLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom,
                                                  const vector<Blob<Dtype>*>& top) {
  LossLayer<Dtype>::Reshape(bottom, top);
  CheckOneLabelEach(*bottom[0], *bottom[1]);
}

template <typename Dtype>
void MultinomialLogisticLossLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                                                      const vector<Blob<Dtype>*>& top) {
  const Dtype* prob = bottom[0]->cpu_data();
  const Dtype* labels = bottom[1]->cpu_data();
  const int num = bottom[0]->shape(0), classes = bottom[0]->count(1);
  Dtype loss = 0;
  for (int n = 0; n < num; ++n, prob += classes)
    loss += MultinomialLossFunction<Dtype>::Loss(prob[CheckedLabel(labels[n], n, classes)]);
  top[0]->mutable_cpu_data()[0] = loss / num;
}

template <typename Dtype>
void MultinomialLogisticLossLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top,
                                                       const vector<bool>& propagate_down,
                                                       const vector<Blob<Dtype>*>& bottom) {
  CHECK(!propagate_down[1]) << "labels have no gradient";
  if (!propagate_down[0]) return;
  const Dtype* prob = bottom[0]->cpu_data();
  const Dtype* labels = bottom[1]->cpu_data();
  const int num = bottom[0]->shape(0), classes = bottom[0]->count(1);
  Dtype* diff = bottom[0]->mutable_cpu_diff();
  caffe_set(bottom[0]->count(), Dtype(0), diff);
  const Dtype weight = top[0]->cpu_diff()[0] / num;
  for (int n = 0; n < num; ++n) {
    const int64_t at = static_cast<int64_t>(n) * classes + CheckedLabel(labels[n], n, classes);
    diff[at] = MultinomialLossFunction<Dtype>::Gradient(prob[at], weight);
  }
}

#ifdef CPU_ONLY
STUB_GPU(MultinomialLogisticLossLayer);
#endif

INSTANTIATE_CLASS(MultinomialLogisticLossLayer);
REGISTER_LAYER_CLASS(MultinomialLogisticLoss);

}  // namespace caffe
