#ifndef CAFFE_HDF5_OUTPUT_LAYER_HPP_
#define CAFFE_HDF5_OUTPUT_LAYER_HPP_

#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/hdf5.hpp"

#define HDF5_DATA_DATASET_NAME "data"
#define HDF5_DATA_LABEL_NAME "label"

#ifdef USE_HDF5

namespace caffe {

/**
 * @brief Writes its bottoms, data and labels, to the datasets "data" and "label" of the HDF5 file file_name.
 *
 * Both bottoms have the same number of items (first axis). A dataset has 4 axes, the last of them 1 where the
 * bottom has fewer, or as many as the bottom where it has more. Each forward pass adds its items to those of
 * the passes before, and hands the file to the system. The layer makes the file anew when it is set up.
 */
template <typename Dtype>
class HDF5OutputLayer : public Layer<Dtype> {
 public:
  explicit HDF5OutputLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  /// There is no top to shape.
  void Reshape(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) override {}

  const char* type() const override { return "HDF5Output"; }
  int ExactNumBottomBlobs() const override { return 2; }
  int ExactNumTopBlobs() const override { return 0; }

  std::string file_name() const { return file_name_; }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>&, const vector<bool>&, const vector<Blob<Dtype>*>&) override {}
  void Backward_gpu(const vector<Blob<Dtype>*>&, const vector<bool>&, const vector<Blob<Dtype>*>&) override {}
  /// Adds data_blob_ and label_blob_ to the file.
  virtual void SaveBlobs();

  bool file_opened_ = false;
  std::string file_name_;
  /// The file's identifier, which file_ closes.
  hid_t file_id_ = -1;
  Hdf5Handle file_;
  Blob<Dtype> data_blob_;
  Blob<Dtype> label_blob_;
};

}  // namespace caffe

#endif  // USE_HDF5

#endif  // CAFFE_HDF5_OUTPUT_LAYER_HPP_
