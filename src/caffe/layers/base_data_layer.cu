#include "caffe/layers/base_data_layer.hpp"

namespace caffe {

namespace {

// Makes the top show the values of a batch on the GPU. The batch itself goes on being newest on the host,
// where the worker fills it next.
template <typename Dtype>
void Show(const Blob<Dtype>& values, Blob<Dtype>* top) {
  top->ReshapeLike(values);
  auto* memory = const_cast<Dtype*>(values.gpu_data());
  top->set_gpu_data(memory, values.data()->gpu_owner());
}

}  // namespace

template <typename Dtype>
void BasePrefetchingDataLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>&,
                                                  const vector<Blob<Dtype>*>& top) {
  TakeBatch();
  Show(prefetch_current_->data_, top[0]);
  if (this->output_labels_) Show(prefetch_current_->label_, top[1]);
}

INSTANTIATE_LAYER_GPU_FORWARD(BasePrefetchingDataLayer);

}  // namespace caffe
