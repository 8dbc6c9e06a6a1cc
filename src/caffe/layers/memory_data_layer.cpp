#include "caffe/layers/memory_data_layer.hpp"

#include <algorithm>
#include <vector>

#ifdef USE_OPENCV
#include <opencv2/core/core.hpp>
#endif

namespace caffe {

template <typename Dtype>
void MemoryDataLayer<Dtype>::DataLayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>& top) {
  const MemoryDataParameter& param = this->layer_param_.memory_data_param();
  batch_size_ = param.batch_size();
  channels_ = param.channels();
  height_ = param.height();
  width_ = param.width();
  LOG_IF(FATAL, batch_size_ < 1 || channels_ < 1 || height_ < 1 || width_ < 1)
      << "memory_data_param needs batch_size, channels, height and width, all positive; they are "
      << batch_size_ << ", " << channels_ << ", " << height_ << " and " << width_;
  top[0]->Reshape({batch_size_, channels_, height_, width_});
  top[1]->Reshape({batch_size_});
  size_ = top[0]->count(1);
}

template <typename Dtype>
void MemoryDataLayer<Dtype>::PrepareToAdd(size_t items) {
  CHECK(!has_new_data_) << "Can't add data until current data has been consumed.";
  CHECK_GT(items, 0u) << "There is nothing to add.";
  const int count = static_cast<int>(items);
  CHECK_EQ(count % batch_size_, 0) << "the number of items added, " << count
                                   << ", must be a multiple of the batch size " << batch_size_;
  // What was served goes with the memory, also where an item turns out to be damaged.
  data_ = nullptr;
  added_data_.Reshape({count, channels_, height_, width_});
  added_label_.Reshape({count});
}

template <typename Dtype>
void MemoryDataLayer<Dtype>::ServeAdded() {
  Dtype* data = added_data_.mutable_cpu_data();
  Dtype* labels = added_label_.mutable_cpu_data();
  using Owners = pair<shared_ptr<void>, shared_ptr<void>>;
  const auto owners =
      std::make_shared<Owners>(added_data_.data()->cpu_owner(), added_label_.data()->cpu_owner());
  Serve(data, labels, added_label_.count(), owners);
  has_new_data_ = true;
}

template <typename Dtype>
void MemoryDataLayer<Dtype>::AddDatumVector(const vector<Datum>& datum_vector) {
  PrepareToAdd(datum_vector.size());
  this->data_transformer_->Transform(datum_vector, &added_data_);
  Dtype* labels = added_label_.mutable_cpu_data();
  for (size_t i = 0; i < datum_vector.size(); ++i) labels[i] = datum_vector[i].label();
  ServeAdded();
}

#ifdef USE_OPENCV
template <typename Dtype>
void MemoryDataLayer<Dtype>::AddMatVector(const vector<cv::Mat>& mat_vector, const vector<int>& labels) {
  PrepareToAdd(mat_vector.size());
  CHECK_EQ(labels.size(), mat_vector.size()) << "there must be one label for each image";
  this->data_transformer_->Transform(mat_vector, &added_data_);
  std::copy(labels.begin(), labels.end(), added_label_.mutable_cpu_data());
  ServeAdded();
}
#endif  // USE_OPENCV

template <typename Dtype>
void MemoryDataLayer<Dtype>::Reset(Dtype* data, Dtype* label, int n, shared_ptr<void> owner) {
  CHECK(data != nullptr && label != nullptr) << "Reset needs data and labels";
  CHECK(n > 0 && n % batch_size_ == 0)
      << "the number of items, " << n << ", must be a multiple of the batch size " << batch_size_;
  LOG_IF(WARNING, this->layer_param_.has_transform_param())
      << this->type() << " does not transform array data on Reset()";
  Serve(data, label, n, std::move(owner));
}

template <typename Dtype>
void MemoryDataLayer<Dtype>::Serve(Dtype* data, Dtype* labels, int n, shared_ptr<void> owner) {
  data_ = data;
  labels_ = labels;
  n_ = n;
  pos_ = first_record_ % n;
  first_record_ = 0;
  owner_ = std::move(owner);
}

template <typename Dtype>
bool MemoryDataLayer<Dtype>::GetDataState(DataState* state) const {
  state->set_record(data_ ? pos_ : first_record_);
  const string random_state = this->data_transformer_->random_state();
  if (!random_state.empty()) state->set_random_state(random_state);
  return true;
}

template <typename Dtype>
void MemoryDataLayer<Dtype>::SetDataState(const DataState& state) {
  if (state.has_random_state()) this->data_transformer_->set_random_state(state.random_state());
  if (data_) {
    pos_ = state.record() % n_;
  } else {
    first_record_ = state.record();
  }
}

template <typename Dtype>
void MemoryDataLayer<Dtype>::set_batch_size(int new_size) {
  CHECK(!has_new_data_) << "Can't change batch_size until current data has been consumed.";
  CHECK_GT(new_size, 0) << "the batch size must be positive";
  batch_size_ = new_size;
}

template <typename Dtype>
void MemoryDataLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>& top) {
  LOG_IF(FATAL, data_ == nullptr)
      << "there is no data: call Reset or AddDatumVector (in Python, set_input_arrays)";
  LOG_IF(FATAL, pos_ + batch_size_ > static_cast<size_t>(n_))
      << "the memory holds " << n_ << " items, no multiple of the batch size " << batch_size_
      << ", which has changed: call Reset or AddDatumVector again";
  top[0]->Reshape({batch_size_, channels_, height_, width_});
  top[1]->Reshape({batch_size_});
  top[0]->set_cpu_data(data_ + pos_ * size_, owner_);
  top[1]->set_cpu_data(labels_ + pos_, owner_);
  pos_ = (pos_ + batch_size_) % n_;
  if (pos_ == 0) has_new_data_ = false;
}

INSTANTIATE_CLASS(MemoryDataLayer);
REGISTER_LAYER_CLASS(MemoryData);

}  // namespace caffe
