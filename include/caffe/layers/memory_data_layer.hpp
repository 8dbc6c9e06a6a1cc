#ifndef CAFFE_MEMORY_DATA_LAYER_HPP_
#define CAFFE_MEMORY_DATA_LAYER_HPP_

#include <cstdint>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/layers/base_data_layer.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/**
 * @brief Serves data and labels from memory that the program fills.
 *
 * Tops: data (batch_size x channels x height x width) and labels (batch_size), which point into that memory.
 * After the last batch comes the first again. A restored training goes on at its place in the memory, which
 * the program has filled with the same, before or after.
 */
template <typename Dtype>
class MemoryDataLayer : public BaseDataLayer<Dtype> {
 public:
  explicit MemoryDataLayer(const LayerParameter& param) : BaseDataLayer<Dtype>(param) {}
  void DataLayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  bool GetDataState(DataState* state) const override;
  void SetDataState(const DataState& state) override;

  const char* type() const override { return "MemoryData"; }
  int ExactNumBottomBlobs() const override { return 0; }
  int ExactNumTopBlobs() const override { return 2; }

  /// Transforms and keeps the datums, a multiple of the batch size. What was added before must have been
  /// served.
  virtual void AddDatumVector(const vector<Datum>& datum_vector);

#ifdef USE_OPENCV
  /// The same for images as OpenCV has them, 8 bits a channel, with their labels.
  virtual void AddMatVector(const vector<cv::Mat>& mat_vector, const vector<int>& labels);
#endif  // USE_OPENCV

  /// Serves n items (a multiple of the batch size) from the caller's memory, which the caller keeps alive;
  /// they are not transformed.
  void Reset(Dtype* data, Dtype* label, int n) { Reset(data, label, n, nullptr); }
  /// The same for memory that `owner` keeps alive.
  void Reset(Dtype* data, Dtype* label, int n, shared_ptr<void> owner);
  /// Changes the batch size; the items in memory must stay a multiple of it, or be replaced.
  void set_batch_size(int new_size);

  int batch_size() { return batch_size_; }
  int channels() { return channels_; }
  int height() { return height_; }
  int width() { return width_; }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  int batch_size_, channels_, height_, width_;
  /// Values of an item.
  int size_;
  Dtype* data_ = nullptr;
  Dtype* labels_ = nullptr;
  /// Items in memory, and the next to be served.
  int n_ = 0;
  size_t pos_ = 0;
  Blob<Dtype> added_data_;
  Blob<Dtype> added_label_;
  bool has_new_data_ = false;

 private:
  void Serve(Dtype* data, Dtype* labels, int n, shared_ptr<void> owner);
  /// Makes room for `count` items. @throws Error unless they are a multiple of the batch size, and what was
  /// added before has been served.
  void PrepareToAdd(size_t count);
  /// Serves what was added.
  void ServeAdded();

  /// Where to begin in the memory that comes next.
  uint64_t first_record_ = 0;
  /// Keeps what data_ and labels_ point to.
  shared_ptr<void> owner_;
};

}  // namespace caffe

#endif  // CAFFE_MEMORY_DATA_LAYER_HPP_
