#include "caffe/layers/hdf5_output_layer.hpp"

#ifdef USE_HDF5

namespace caffe {

// A file is written from the host's memory.
template <typename Dtype>
void HDF5OutputLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom,
                                         const vector<Blob<Dtype>*>& top) {
  this->Forward_cpu(bottom, top);
}

INSTANTIATE_LAYER_GPU_FORWARD(HDF5OutputLayer);

}  // namespace caffe

#endif  // USE_HDF5
