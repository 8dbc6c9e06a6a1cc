#ifndef CAFFE_HDF5_DATA_LAYER_HPP_
#define CAFFE_HDF5_DATA_LAYER_HPP_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/hdf5.hpp"

#ifdef USE_HDF5

namespace caffe {

/**
 * @brief Serves rows of HDF5 files: each top gets the dataset of its name.
 *
 * `source` lists the files, one in a line, taken from the working folder or else from the list's. A file's
 * datasets have one number of rows (their first axis), and any further axes, the same in all files. A top is
 * batch_size rows; a batch goes on over the end of a file, and after the last file comes the first. One file
 * is in memory at a time.
 *
 * With shuffle each pass takes the files in a new order, and of each file the rows in a new order. In the
 * TRAIN phase solver r of n takes the rows r, r + n, r + 2n, ...
 */
template <typename Dtype>
class HDF5DataLayer : public Layer<Dtype> {
 public:
  explicit HDF5DataLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  /// The tops are shaped with the data.
  void Reshape(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) override {}

  bool GetDataState(DataState* state) const override;
  void SetDataState(const DataState& state) override;

  const char* type() const override { return "HDF5Data"; }
  int ExactNumBottomBlobs() const override { return 0; }
  int MinTopBlobs() const override { return 1; }

 protected:
  /// Moves to the next row, or to the next file, or to the start of the next pass.
  void Next();
  /// Whether the row is another solver's.
  bool Skip();
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>&, const vector<bool>&, const vector<Blob<Dtype>*>&) override {}
  void Backward_gpu(const vector<Blob<Dtype>*>&, const vector<bool>&, const vector<Blob<Dtype>*>&) override {}
  /// Takes a file's datasets to memory, and starts at its first row.
  /// @throws Error naming the file and the dataset; so for datasets that do not go together.
  virtual void LoadHDF5FileData(const char* filename);

  std::vector<std::string> hdf_filenames_;
  unsigned int num_files_ = 0;
  /// Place in file_permutation_, the order of the files.
  unsigned int current_file_ = 0;
  hsize_t current_row_ = 0;
  std::vector<shared_ptr<Blob<Dtype>>> hdf_blobs_;
  std::vector<unsigned int> data_permutation_;
  std::vector<unsigned int> file_permutation_;
  /// Rows passed.
  uint64_t offset_ = 0;

 private:
  /// The order of the files for the pass at hand.
  void OrderFiles();
  /// The order of the rows for the file at hand.
  void OrderRows();
  void LoadCurrentFile();

  uint32_t seed_ = 0;
  uint64_t pass_ = 0;
};

}  // namespace caffe

#endif  // USE_HDF5

#endif  // CAFFE_HDF5_DATA_LAYER_HPP_
