#include "caffe/layers/swish_layer.hpp"

#include <memory>

#include "caffe/util/inner_layer.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/neuron_functions.hpp"

namespace caffe {

template <typename Dtype>
void SwishLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  NeuronLayer<Dtype>::LayerSetUp(bottom, top);
  sigmoid_input_ = std::make_shared<Blob<Dtype>>(bottom[0]->shape());
  sigmoid_output_ = std::make_shared<Blob<Dtype>>();
  sigmoid_bottom_vec_ = {sigmoid_input_.get()};
  sigmoid_top_vec_ = {sigmoid_output_.get()};
  sigmoid_layer_ = std::make_shared<SigmoidLayer<Dtype>>(InnerLayer(this->layer_param_, "Sigmoid", "gate"));
  sigmoid_layer_->SetUp(sigmoid_bottom_vec_, sigmoid_top_vec_);
}

template <typename Dtype>
void SwishLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  NeuronLayer<Dtype>::Reshape(bottom, top);
  sigmoid_input_->ReshapeLike(*bottom[0]);
  sigmoid_layer_->Reshape(sigmoid_bottom_vec_, sigmoid_top_vec_);
}

template <typename Dtype>
void SwishLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const int count = bottom[0]->count();
  const Dtype* x = bottom[0]->cpu_data();
  caffe_cpu_scale(count, Dtype(this->layer_param_.swish_param().beta()), x,
                  sigmoid_input_->mutable_cpu_data());
  sigmoid_layer_->Forward(sigmoid_bottom_vec_, sigmoid_top_vec_);
  caffe_mul(count, x, sigmoid_output_->cpu_data(), top[0]->mutable_cpu_data());
}

template <typename Dtype>
void SwishLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                     const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  const SwishGradient<Dtype> swish = {this->layer_param_.swish_param().beta()};
  const Dtype* gate = sigmoid_output_->cpu_data();
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
