#include "caffe/layers/dropout_layer.hpp"

#include "caffe/util/math_functions.hpp"
#include "caffe/util/neuron_functions.hpp"

namespace caffe {

template <typename Dtype>
void DropoutLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) {
  threshold_ = this->layer_param_.dropout_param().dropout_ratio();
  CHECK(threshold_ >= 0 && threshold_ < 1)
      << "dropout_param.dropout_ratio must lie in [0, 1), not " << threshold_;
  scale_ = 1 / (1 - threshold_);
  uint_thres_ = static_cast<unsigned int>(UINT_MAX * static_cast<double>(threshold_));
}

template <typename Dtype>
void DropoutLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  NeuronLayer<Dtype>::Reshape(bottom, top);
  rand_vec_.Reshape(bottom[0]->shape());
}

template <typename Dtype>
void DropoutLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const int count = bottom[0]->count();
  const Dtype* x = bottom[0]->cpu_data();
  Dtype* y = top[0]->mutable_cpu_data();
  if (this->phase_ != TRAIN) {
    caffe_copy(count, x, y);
    return;
  }
  unsigned int* kept = rand_vec_.mutable_cpu_data();
  caffe_rng_bernoulli(count, 1 - threshold_, kept);
  MapElements(count, [=, f = DropoutFunction<Dtype>{scale_}](int64_t i) { return f(x[i], kept[i]); }, y);
}

template <typename Dtype>
void DropoutLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                       const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  const int count = bottom[0]->count();
  const Dtype* dy = top[0]->cpu_diff();
  Dtype* dx = bottom[0]->mutable_cpu_diff();
  if (this->phase_ != TRAIN) {
    caffe_copy(count, dy, dx);
    return;
  }
  const unsigned int* kept = rand_vec_.cpu_data();
  MapElements(count, [=, f = DropoutFunction<Dtype>{scale_}](int64_t i) { return f(dy[i], kept[i]); }, dx);
}

#ifdef CPU_ONLY
STUB_GPU(DropoutLayer);
#endif

INSTANTIATE_CLASS(DropoutLayer);
REGISTER_LAYER_CLASS(Dropout);

}  // namespace caffe
