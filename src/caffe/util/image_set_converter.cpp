#include "caffe/util/image_set_converter.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "caffe/util/format.hpp"

namespace caffe {

namespace {

constexpr size_t kMaxWaitingBytes = size_t{1} << 27;
constexpr size_t kMaxUncommittedBytes = size_t{1} << 26;
constexpr int kRecordsPerCommit = 1000;

const ImageDatumOptions& Checked(const ImageDatumOptions& options) {
  CheckImageDatumOptions(options);
  return options;
}

string Described(const ImageShape& shape) {
  return std::to_string(shape.channels) + " x " + std::to_string(shape.height) + " x " +
         std::to_string(shape.width);
}

}  // namespace

ImageSetConverter::ImageSetConverter(vector<ListedImage> images, const string& root,
                                     const ImageDatumOptions& options, bool check_size, int threads,
                                     int64_t first)
    : images_(std::move(images)),
      root_(root),
      options_(Checked(options)),
      check_size_(check_size),
      first_(std::min(std::max<int64_t>(first, 0), size())),
      committed_(first_),
      records_(
          size() - first_, threads, kMaxWaitingBytes,
          [this](int64_t number) { return MakeRecord(first_ + number); },
          [](const Record& record) { return record.datum.size(); }) {}

ImageSetConverter::Record ImageSetConverter::MakeRecord(int64_t number) const {
  const ListedImage& image = images_[number];
  Record record;
  Datum datum;
  record.shape = MakeImageDatum(root_ + image.name, image.label, options_, &datum);
  datum.SerializeToString(&record.datum);
  return record;
}

bool ImageSetConverter::WriteFor(std::chrono::milliseconds time, db::DB* database) {
  const auto end = std::chrono::steady_clock::now() + time;
  do {
    const int64_t number = first_ + written_ + skipped_;
    if (number == size()) {
      Commit();
      return false;
    }
    Record record;
    if (TakeReadable(&record)) {
      Write(record, number, database);
    } else {
      ++skipped_;
    }
  } while (std::chrono::steady_clock::now() < end);
  return true;
}

bool ImageSetConverter::TakeReadable(Record* record) {
  try {
    return records_.Take(record);
  } catch (const Error& error) {
    LOG(WARNING) << "left out: " << error.what();
    return false;
  }
}

void ImageSetConverter::Write(const Record& record, int64_t number, db::DB* database) {
  if (check_size_) CheckShape(record.shape, number);
  if (!transaction_) transaction_.reset(database->NewTransaction());
  transaction_->Put(format_int(static_cast<int>(number), 8) + "_" + images_[number].name, record.datum);
  uncommitted_bytes_ += record.datum.size();
  ++written_;
  const bool round = written_ % kRecordsPerCommit == 0;
  if (round || uncommitted_bytes_ > kMaxUncommittedBytes) Commit();
  LOG_IF(INFO, round) << "Processed " << written_ << " files.";
}

void ImageSetConverter::CheckShape(const ImageShape& shape, int64_t number) {
  if (written_ == 0) shape_ = shape;
  if (shape == shape_) return;
  const string file = root_ + images_[number].name;
  throw Error("the image '" + file + "' is " + Described(shape) + " (channels x rows x columns), but those " +
                  "before it are " + Described(shape_) + ": resize them, or do without check_size",
              "", "", file);
}

void ImageSetConverter::Commit() {
  if (transaction_) transaction_->Commit();
  transaction_.reset();
  uncommitted_bytes_ = 0;
  committed_ = first_ + written_ + skipped_;
}

}  // namespace caffe
