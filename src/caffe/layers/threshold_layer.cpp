#include "caffe/layers/threshold_layer.hpp"

#include "caffe/util/neuron_functions.hpp"

namespace caffe {

template <typename Dtype>
void ThresholdLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) {
  threshold_ = this->layer_param_.threshold_param().threshold();
}

template <typename Dtype>
void ThresholdLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  ElementwiseForward(bottom[0]->count(), ThresholdFunction<Dtype>{threshold_}, bottom[0]->cpu_data(),
                     top[0]->mutable_cpu_data());
}

template <typename Dtype>
void ThresholdLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>&, const vector<bool>& propagate_down,
                                         const vector<Blob<Dtype>*>&) {
  CHECK(!propagate_down[0]) << "a threshold has no gradient; set propagate_down: false";
}

#ifdef CPU_ONLY
STUB_GPU_FORWARD(ThresholdLayer, Forward);
#endif

INSTANTIATE_CLASS(ThresholdLayer);
REGISTER_LAYER_CLASS(Threshold);

}  // namespace caffe
