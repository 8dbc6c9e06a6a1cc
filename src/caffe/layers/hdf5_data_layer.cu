#include "caffe/layers/hdf5_data_layer.hpp"

#ifdef USE_HDF5

namespace caffe {

// The rows are gathered on the host, where the file is, and copied to the GPU when they are read there.
template <typename Dtype>
void HDF5DataLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  this->Forward_cpu(bottom, top);
}

INSTANTIATE_LAYER_GPU_FORWARD(HDF5DataLayer);

}  // namespace caffe

#endif  // USE_HDF5
