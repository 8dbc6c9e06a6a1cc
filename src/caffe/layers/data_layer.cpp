#include "caffe/layers/data_layer.hpp"

#include <string>
#include <vector>

#include "caffe/util/record_random.hpp"
#include "caffe/util/solver_share.hpp"

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
typename DataLayer<Dtype>::Record DataLayer<Dtype>::ReadRecord() {
  return {offset_, cursor_->key(), cursor_->value()};
}

template <typename Dtype>
template <typename Use>
void DataLayer<Dtype>::WithDatum(const Record& record, Use use) const {
  try {
    Datum datum;
    LOG_IF(FATAL, !datum.ParseFromString(record.value)) << "it is not a Datum, or damaged";
    use(datum);
  } catch (const Error& error) {
    const string& source = this->layer_param_.data_param().source();
    throw Error("record '" + record.key + "' of '" + source + "': " + error.message(), "", "", source);
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
  SeekRecord(0);
  WithDatum(ReadRecord(), [&](const Datum& datum) {
    this->ShapeTops(this->data_transformer_->InferBlobShape(datum), param.batch_size(), top);
  });
}

template <typename Dtype>
bool DataLayer<Dtype>::SeekRecord(uint64_t record) {
  const uint32_t rand_skip = this->layer_param_.data_param().rand_skip();
  uint64_t steps = record;
  if (rand_skip > 0) {
    const int64_t skip = RecordRandom(this->seed(), RecordRandom::START, 0).Below(rand_skip);
    LOG_IF(INFO, Caffe::root_solver()) << "Skipping first " << skip << " data points.";
    steps += skip;
  }
  cursor_->SeekToFirst();
  for (uint64_t passed = 0; passed < steps;) {
    cursor_->Next();
    ++passed;
    if (cursor_->valid()) continue;
    // Here the number of records is known: whole passes need no steps.
    cursor_->SeekToFirst();
    steps = (steps - passed) % passed;
    passed = 0;
  }
  offset_ = record;
  return true;
}

template <typename Dtype>
bool DataLayer<Dtype>::Skip() {
  return IsOfAnotherSolver(offset_, this->phase_);
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
  records_.resize(batch_size);
  for (Record& record : records_) {
    if (this->must_stop()) throw ThreadInterrupted();
    while (Skip()) Next();
    record = ReadRecord();
    Next();
  }
  batch->next_record_ = StartOfRound(offset_, this->phase_);
  bool encoded = false;
  WithDatum(records_[0], [&](const Datum& datum) {
    this->ShapeBatch(this->data_transformer_->InferBlobShape(datum), batch_size, batch);
    encoded = datum.encoded();
  });
  Dtype* labels = this->output_labels_ ? batch->label_.mutable_cpu_data() : nullptr;
  const double item_cost = encoded ? this->DecodingCost(records_[0].value.size()) : batch->data_.count(1);
  this->MakeItems(batch, item_cost, [&](int item, Blob<Dtype>* place) {
    const Record& record = records_[item];
    WithDatum(record, [&](const Datum& datum) {
      RecordRandom random(this->seed(), RecordRandom::TRANSFORM, record.number);
      this->data_transformer_->Transform(datum, &random, place);
      if (labels) labels[item] = datum.label();
    });
  });
}

INSTANTIATE_CLASS(DataLayer);
REGISTER_LAYER_CLASS(Data);

}  // namespace caffe
