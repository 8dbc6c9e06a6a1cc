#include "caffe/layers/hdf5_output_layer.hpp"

#include <algorithm>

#include "caffe/layer_factory.hpp"

#ifdef USE_HDF5

namespace caffe {

namespace {

/// Copies the bottom, with 4 axes at least, as Caffe's readers of such files expect.
template <typename Dtype>
void CopyForFile(const Blob<Dtype>& bottom, Blob<Dtype>* copy) {
  vector<int> shape = bottom.shape();
  shape.resize(std::max<size_t>(shape.size(), 4), 1);
  copy->Reshape(shape);
  std::copy_n(bottom.cpu_data(), bottom.count(), copy->mutable_cpu_data());
}

}  // namespace

template <typename Dtype>
void HDF5OutputLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) {
  CHECK(!file_opened_) << "an HDF5Output layer can be set up only once";
  CHECK(this->layer_param_.hdf5_output_param().has_file_name())
      << "hdf5_output_param.file_name is not given: name the file to write";
  file_name_ = this->layer_param_.hdf5_output_param().file_name();
  file_ = Hdf5CreateFile(file_name_);
  file_id_ = file_.get();
  file_opened_ = true;
}

template <typename Dtype>
void HDF5OutputLayer<Dtype>::SaveBlobs() {
  CHECK_EQ(data_blob_.shape(0), label_blob_.shape(0)) << "data and labels must have the same number of items";
  LOG(INFO) << "Saving HDF5 file " << file_name_;
  hdf5_append_nd_dataset(file_id_, HDF5_DATA_DATASET_NAME, data_blob_);
  hdf5_append_nd_dataset(file_id_, HDF5_DATA_LABEL_NAME, label_blob_);
  LOG(INFO) << "Successfully saved " << data_blob_.shape(0) << " rows";
}

template <typename Dtype>
void HDF5OutputLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>&) {
  CopyForFile(*bottom[0], &data_blob_);
  CopyForFile(*bottom[1], &label_blob_);
  SaveBlobs();
}

#ifdef CPU_ONLY
STUB_GPU_FORWARD(HDF5OutputLayer, Forward);
#else
// The file is written from the host's memory.
template <typename Dtype>
void HDF5OutputLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom,
                                         const vector<Blob<Dtype>*>& top) {
  Forward_cpu(bottom, top);
}
#endif

INSTANTIATE_CLASS(HDF5OutputLayer);
REGISTER_LAYER_CLASS(HDF5Output);

}  // namespace caffe

#else

namespace caffe {

template <typename Dtype>
shared_ptr<Layer<Dtype> > CreateHDF5OutputLayer(const LayerParameter&) {
  NO_HDF5;
  return nullptr;
}
REGISTER_LAYER_CREATOR(HDF5Output, CreateHDF5OutputLayer);

}  // namespace caffe

#endif  // USE_HDF5
