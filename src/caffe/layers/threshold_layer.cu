#include "caffe/layers/threshold_layer.hpp"
#include "caffe/util/elementwise.cuh"
#include "caffe/util/neuron_functions.hpp"

namespace caffe {

template <typename Dtype>
void ThresholdLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  GpuElementwiseForward(bottom[0]->count(), ThresholdFunction<Dtype>{threshold_}, bottom[0]->gpu_data(),
                        top[0]->mutable_gpu_data());
}

INSTANTIATE_LAYER_GPU_FORWARD(ThresholdLayer);

}  // namespace caffe
