#include "caffe/layers/swish_layer.hpp"

#include "caffe/util/neuron_functions.hpp"

namespace caffe {

template <typename Dtype>
void SwishLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  NeuronLayer<Dtype>::Reshape(bottom, top);
  sigmoid_output_.ReshapeLike(*bottom[0]);
}

template <typename Dtype>
void SwishLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const SwishFunction<Dtype> swish = {this->layer_param_.swish_param().beta()};
  const int count = bottom[0]->count();
  const Dtype* x = bottom[0]->cpu_data();
  Dtype* gate = sigmoid_output_.mutable_cpu_data();
  MapElements(count, [=](int64_t i) { return swish.Gate(x[i]); }, gate);
  MapElements(count, [=](int64_t i) { return swish.Forward(x[i], gate[i]); }, top[0]->mutable_cpu_data());
}

template <typename Dtype>
void SwishLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                     const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  const SwishFunction<Dtype> swish = {this->layer_param_.swish_param().beta()};
  const Dtype* gate = sigmoid_output_.cpu_data();
  const Dtype* y = top[0]->cpu_data();
  const Dtype* dy = top[0]->cpu_diff();
  MapElements(
      bottom[0]->count(), [=](int64_t i) { return dy[i] * swish.Derivative(y[i], gate[i]); },
      bottom[0]->mutable_cpu_diff());
}

#ifdef CPU_ONLY
STUB_GPU(SwishLayer);
#endif

INSTANTIATE_CLASS(SwishLayer);
REGISTER_LAYER_CLASS(Swish);

}  // namespace caffe
