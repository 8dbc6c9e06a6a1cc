#include "caffe/util/image_mean.hpp"

#include <algorithm>
#include <string>

#include "caffe/util/io.hpp"
#include "caffe/util/parallel_for.hpp"

namespace caffe {

namespace {

constexpr size_t kBatchBytes = size_t{1} << 25;
constexpr size_t kBatchRecords = 4096;
/// Sums of a block stay in the cache while a batch of records is added to them.
constexpr int64_t kBlock = 4096;

void Parse(const string& value, Datum* datum) {
  LOG_IF(FATAL, !datum->ParseFromString(value)) << "it is not a Datum";
  DecodeDatumNative(datum);
  const uint64_t values = datum->data().empty() ? datum->float_data_size() : datum->data().size();
  const bool positive = datum->channels() > 0 && datum->height() > 0 && datum->width() > 0;
  const uint64_t plane = positive ? uint64_t{1} * datum->height() * datum->width() : 0;
  // In this order no product of a damaged shape overflows.
  LOG_IF(FATAL, !positive || plane > values || plane * datum->channels() != values)
      << "it has " << values << " values, but its shape is " << datum->channels() << " x " << datum->height()
      << " x " << datum->width();
}

template <typename Value>
void Add(const Value* values, int64_t begin, int64_t end, double* sums) {
  for (int64_t i = begin; i < end; ++i) sums[i] += values[i];
}

}  // namespace

int ImageMean::AddFrom(db::Cursor* cursor) {
  size_t bytes = 0;
  size_t batch = 0;
  for (; cursor->valid() && bytes < kBatchBytes && batch < kBatchRecords; cursor->Next(), ++batch) {
    if (batch == records_.size()) records_.emplace_back();
    records_[batch].key = cursor->key();
    records_[batch].value = cursor->value();
    bytes += records_[batch].value.size();
  }
  if (batch == 0) return 0;

  ParallelFor(static_cast<int64_t>(batch), 1, [this](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      Record& record = records_[i];
      try {
        Parse(record.value, &record.datum);
      } catch (const Error& error) {
        throw Error("the record '" + record.key + "' cannot be used: " + error.message());
      }
    }
  });
  for (size_t i = 0; i < batch; ++i) CheckShape(records_[i]);

  const int64_t blocks = (static_cast<int64_t>(sums_.size()) + kBlock - 1) / kBlock;
  ParallelFor(blocks, 1, [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; ++block) {
      const int64_t begin = block * kBlock;
      const int64_t end = std::min<int64_t>(begin + kBlock, sums_.size());
      for (size_t i = 0; i < batch; ++i) {
        const Datum& datum = records_[i].datum;
        if (datum.data().empty()) {
          Add(datum.float_data().data(), begin, end, sums_.data());
        } else {
          Add(reinterpret_cast<const uint8_t*>(datum.data().data()), begin, end, sums_.data());
        }
      }
    }
  });
  count_ += static_cast<int64_t>(batch);
  return static_cast<int>(batch);
}

void ImageMean::CheckShape(const Record& record) {
  const Datum& datum = record.datum;
  if (sums_.empty()) {
    channels_ = datum.channels();
    height_ = datum.height();
    width_ = datum.width();
    sums_.resize(size_t{1} * channels_ * height_ * width_);
  }
  LOG_IF(FATAL, datum.channels() != channels_ || datum.height() != height_ || datum.width() != width_)
      << "the record '" << record.key << "' is " << datum.channels() << " x " << datum.height() << " x "
      << datum.width() << " (channels x rows x columns), but those before it are " << channels_ << " x "
      << height_ << " x " << width_ << ": a mean needs images of one size";
}

void ImageMean::CheckNotEmpty() const {
  LOG_IF(FATAL, count_ == 0) << "there are no images to take the mean of";
}

BlobProto ImageMean::Mean() const {
  CheckNotEmpty();
  BlobProto blob;
  blob.set_num(1);
  blob.set_channels(channels_);
  blob.set_height(height_);
  blob.set_width(width_);
  for (const double sum : sums_) blob.add_data(static_cast<float>(sum / count_));
  return blob;
}

vector<double> ImageMean::ChannelMeans() const {
  CheckNotEmpty();
  const int64_t plane = int64_t{1} * height_ * width_;
  vector<double> means(channels_);
  for (int c = 0; c < channels_; ++c) {
    double sum = 0;
    for (int64_t i = 0; i < plane; ++i) sum += sums_[plane * c + i];
    means[c] = sum / count_ / plane;
  }
  return means;
}

template <typename Dtype>
void ReadImageMean(const string& filename, Blob<Dtype>* mean) {
  BlobProto proto;
  ReadProtoFromBinaryFileOrDie(filename, &proto);
  try {
    mean->FromProto(proto);
    LOG_IF(FATAL, mean->count() == 0)
        << "a mean image needs pixels; the shape of this is " << mean->shape_string();
  } catch (const Error& error) {
    throw error.WithFile(filename);
  }
}
template void ReadImageMean<float>(const string&, Blob<float>*);
template void ReadImageMean<double>(const string&, Blob<double>*);

}  // namespace caffe
