#ifndef CAFFE_DATA_LAYERS_HPP_
#define CAFFE_DATA_LAYERS_HPP_

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/data_transformer.hpp"
#include "caffe/internal_thread.hpp"
#include "caffe/layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/blocking_queue.hpp"
#include "caffe/util/gpu_stream.hpp"

namespace caffe {

/**
 * @brief Base of layers that bring data into a net: tops are images, and labels where there is a second top.
 */
template <typename Dtype>
class BaseDataLayer : public Layer<Dtype> {
 public:
  explicit BaseDataLayer(const LayerParameter& param);
  /// Makes the transformer, then calls DataLayerSetUp.
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  virtual void DataLayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) {}
  /// The tops are shaped with the data.
  void Reshape(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) override {}

  void Backward_cpu(const vector<Blob<Dtype>*>&, const vector<bool>&, const vector<Blob<Dtype>*>&) override {}
  void Backward_gpu(const vector<Blob<Dtype>*>&, const vector<bool>&, const vector<Blob<Dtype>*>&) override {}

 protected:
  TransformationParameter transform_param_;
  shared_ptr<DataTransformer<Dtype>> data_transformer_;
  bool output_labels_ = false;
};

/// What one forward pass takes.
template <typename Dtype>
class Batch {
 public:
  Blob<Dtype> data_, label_;
  /// Number of the first record after those of the batch.
  uint64_t next_record_ = 0;
#ifndef CPU_ONLY
  /// When the batch's memory on the GPU is read no more.
  GpuEvent read_;
#endif
};

/**
 * @brief Base of data layers that read ahead: a worker fills data_param.prefetch batches in turn.
 *
 * The tops of a forward pass point into its batch, until the next pass. In GPU mode the worker also copies
 * each batch to the GPU, from pinned memory, while the GPU computes. What goes wrong in the worker is thrown
 * by the forward pass that was to get the batch, and by all after it.
 *
 * A subclass implements DataLayerSetUp and load_batch, and calls StopInternalThread in its destructor. Where
 * its records are a sequence that its seed decides (see RecordRandom), it also implements SeekRecord and sets
 * each batch's next_record_: training then goes on from a snapshot at the record where it stopped.
 */
template <typename Dtype>
class BasePrefetchingDataLayer : public BaseDataLayer<Dtype>, public InternalThread {
 public:
  explicit BasePrefetchingDataLayer(const LayerParameter& param);
  ~BasePrefetchingDataLayer() override { StopInternalThread(); }
  /// Sets the data up, then starts the worker.
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  bool GetDataState(DataState* state) const override;
  void SetDataState(const DataState& state) override;

  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

 protected:
  void InternalThreadEntry() override;
  void InternalThreadFailed(std::exception_ptr error) override;
  /// Fills the batch, in the worker.
  virtual void load_batch(Batch<Dtype>* batch) = 0;
  /// Makes a record of the sequence of seed() the next one. The worker does not run. False where the layer
  /// does not know its records by number.
  virtual bool SeekRecord(uint64_t) { return false; }

  /// What the order of the records and their random numbers depend on.
  uint32_t seed() const { return seed_; }

  /// Shapes the tops and all batches for items of `item_shape` (whose first axis is the item's, 1).
  void ShapeTops(const vector<int>& item_shape, int batch_size, const vector<Blob<Dtype>*>& top);
  /// Shapes a batch for the items it is about to get, which may have another size than those before.
  void ShapeBatch(const vector<int>& item_shape, int batch_size, Batch<Dtype>* batch);
  /**
   * @brief Calls make(item, place) for each item of the batch, where `place` is a blob of one item over the
   * item's memory, in several threads where that pays: so make changes nothing but its item.
   *
   * @param item_cost time of an item, about, in nanoseconds on one thread.
   */
  void MakeItems(Batch<Dtype>* batch, double item_cost,
                 const std::function<void(int item, Blob<Dtype>* place)>& make);

  /// The item_cost of an image of so many bytes as JPEG or PNG.
  static double DecodingCost(size_t encoded_bytes) { return 50. * encoded_bytes; }

  vector<shared_ptr<Batch<Dtype>>> prefetch_;
  BlockingQueue<Batch<Dtype>*> prefetch_free_;
  BlockingQueue<Batch<Dtype>*> prefetch_full_;
  Batch<Dtype>* prefetch_current_ = nullptr;
  /// One item; for subclasses that make items one after the other.
  Blob<Dtype> transformed_data_;

 private:
  /// Gives the batch of the last pass back to the worker, and takes the next.
  void TakeBatch();
  /// Lets the worker wait for what the GPU has still to do with the batch of the last pass.
  void NoteLastRead();

  uint32_t seed_ = 0;
  /// The first record that no forward pass has taken.
  uint64_t next_record_ = 0;
  int threads_ = 1;
};

}  // namespace caffe

#endif  // CAFFE_DATA_LAYERS_HPP_
