#include "caffe/layers/data_layer.hpp"

#include <string>
#include <vector>

#include "caffe/util/math_functions.hpp"

namespace caffe {

template <typename Dtype>
DataLayer<Dtype>::DataLayer(const LayerParameter& param) : BasePrefetchingDataLayer<Dtype>(param) {
  if (param.data_param().force_encoded_color()) this->transform_param_.set_force_color(true);
}

template <typename Dtype>
DataLayer<Dtype>::~DataLayer() {
  this->StopInternalThread();
}

template <typename Dtype>
template <typename Use>
void DataLayer<Dtype>::WithRecord(Use use) {
  try {
    Datum datum;
    LOG_IF(FATAL, !datum.ParseFromString(cursor_->value())) << "it is not a Datum, or damaged";
    use(datum);
  } catch (const Error& error) {
    const string& source = this->layer_param_.data_param().source();
    throw Error("record '" + cursor_->key() + "' of '" + source + "': " + error.message(), "", "", source);
  }
}

template <typename Dtype>
void DataLayer<Dtype>::DataLayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>& top) {
  const DataParameter& param = this->layer_param_.data_param();
  LOG_IF(FATAL, param.batch_size() < 1 || param.batch_size() > INT_MAX)
      << "data_param.batch_size is " << param.batch_size() << ": give the number of images of a forward pass";
  db_.reset(db::GetDB(param.backend()));
  db_->Open(param.source(), db::READ);
  cursor_.reset(db_->NewCursor());
  if (!cursor_->valid()) {
    throw Error("the database '" + param.source() + "' holds no records: make it again", "", "",
                param.source());
  }
  if (param.rand_skip() > 0) {
    const unsigned int skip = caffe_rng_rand() % param.rand_skip();
    LOG(INFO) << "Skipping first " << skip << " data points.";
    for (unsigned int i = 0; i < skip; ++i) Next();
    // Solvers share the records out from where the skip ends.
    offset_ = 0;
  }
  WithRecord([&](const Datum& datum) {
    this->ShapeTops(this->data_transformer_->InferBlobShape(datum), param.batch_size(), top);
  });
}

template <typename Dtype>
bool DataLayer<Dtype>::Skip() {
  const uint64_t owner = offset_ % Caffe::solver_count();
  return this->phase_ != TEST && owner != static_cast<uint64_t>(Caffe::solver_rank());
}

template <typename Dtype>
void DataLayer<Dtype>::Next() {
  cursor_->Next();
  ++offset_;
  if (cursor_->valid()) return;
  LOG_IF(INFO, Caffe::root_solver()) << "Restarting data prefetching from start.";
  cursor_->SeekToFirst();
}

template <typename Dtype>
void DataLayer<Dtype>::load_batch(Batch<Dtype>* batch) {
  const int batch_size = this->layer_param_.data_param().batch_size();
  for (int item = 0; item < batch_size; ++item) {
    while (Skip()) Next();
    WithRecord([&](const Datum& datum) {
      if (item == 0) this->ShapeBatch(this->data_transformer_->InferBlobShape(datum), batch_size, batch);
      this->TransformItem(datum, item, batch);
      if (this->output_labels_) batch->label_.mutable_cpu_data()[item] = datum.label();
    });
    Next();
  }
}

INSTANTIATE_CLASS(DataLayer);
REGISTER_LAYER_CLASS(Data);

}  // namespace caffe
