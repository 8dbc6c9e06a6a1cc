#ifndef CAFFE_DATA_LAYERS_HPP_
#define CAFFE_DATA_LAYERS_HPP_

#include <exception>
#include <memory>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/data_transformer.hpp"
#include "caffe/internal_thread.hpp"
#include "caffe/layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/blocking_queue.hpp"

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
};

/**
 * @brief Base of data layers that read ahead: a worker fills data_param.prefetch batches in turn.
 *
 * The tops of a forward pass point into its batch, until the next pass. What goes wrong in the worker is
 * thrown by the forward pass that was to get the batch, and by all after it.
 *
 * A subclass implements DataLayerSetUp and load_batch, and calls StopInternalThread in its destructor.
 */
template <typename Dtype>
class BasePrefetchingDataLayer : public BaseDataLayer<Dtype>, public InternalThread {
 public:
  explicit BasePrefetchingDataLayer(const LayerParameter& param);
  ~BasePrefetchingDataLayer() override { StopInternalThread(); }
  /// Sets the data up, then starts the worker.
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

 protected:
  void InternalThreadEntry() override;
  void InternalThreadFailed(std::exception_ptr error) override;
  /// Fills the batch, in the worker.
  virtual void load_batch(Batch<Dtype>* batch) = 0;

  /// Shapes the tops and all batches for items of `item_shape` (whose first axis is the item's, 1).
  void ShapeTops(const vector<int>& item_shape, int batch_size, const vector<Blob<Dtype>*>& top);
  /// Shapes a batch for the items it is about to get, which may have another size than those before.
  void ShapeBatch(const vector<int>& item_shape, int batch_size, Batch<Dtype>* batch);
  /// Transforms `in`, a datum or an image, into an item of the batch. Ends the worker where that is asked
  /// for, so that nobody waits for the rest of a large batch.
  template <typename Input>
  void TransformItem(const Input& in, int item, Batch<Dtype>* batch) {
    if (must_stop()) throw ThreadInterrupted();
    transformed_data_.set_cpu_data(batch->data_.mutable_cpu_data() + batch->data_.offset(item));
    this->data_transformer_->Transform(in, &transformed_data_);
  }

  vector<shared_ptr<Batch<Dtype>>> prefetch_;
  BlockingQueue<Batch<Dtype>*> prefetch_free_;
  BlockingQueue<Batch<Dtype>*> prefetch_full_;
  Batch<Dtype>* prefetch_current_ = nullptr;
  /// One item, over the memory of its place in the batch.
  Blob<Dtype> transformed_data_;
};

}  // namespace caffe

#endif  // CAFFE_DATA_LAYERS_HPP_
