#include "caffe/data_reader.hpp"

#include <climits>
#include <mutex>

namespace caffe {

namespace {

/// Guards DataReader::bodies_.
std::mutex bodies_mutex;

int QueueSize(const DataParameter& param) {
  const uint64_t size = uint64_t{param.prefetch()} * param.batch_size();
  LOG_IF(FATAL, size < 1 || size > INT_MAX)
      << "data_param has prefetch " << param.prefetch() << " and batch_size " << param.batch_size()
      << ": their product is the number of records read ahead";
  return static_cast<int>(size);
}

}  // namespace

map<const string, std::weak_ptr<DataReader::Body>> DataReader::bodies_;

DataReader::DataReader(const LayerParameter& param)
    : queue_pair_(std::make_shared<QueuePair>(QueueSize(param.data_param()))) {
  const std::lock_guard<std::mutex> lock(bodies_mutex);
  std::weak_ptr<Body>& shared = bodies_[source_key(param)];
  body_ = shared.lock();
  if (!body_) {
    body_ = std::make_shared<Body>(param);
    shared = body_;
  }
  body_->new_queue_pairs_.push(queue_pair_);
}

DataReader::~DataReader() {
  const string key = source_key(body_->param_);
  body_.reset();
  const std::lock_guard<std::mutex> lock(bodies_mutex);
  const auto entry = bodies_.find(key);
  if (entry != bodies_.end() && entry->second.expired()) bodies_.erase(entry);
}

DataReader::QueuePair::QueuePair(int size) : datums_(size) {
  for (Datum& datum : datums_) free_.push(&datum);
}

DataReader::Body::Body(const LayerParameter& param) : param_(param) { StartInternalThread(); }

DataReader::Body::~Body() { StopInternalThread(); }

void DataReader::Body::InternalThreadEntry() {
  const int solvers = param_.phase() == TRAIN ? Caffe::solver_count() : 1;
  for (int i = 0; i < solvers; ++i) served_.push_back(new_queue_pairs_.pop());
  const std::unique_ptr<db::DB> database(db::GetDB(param_.data_param().backend()));
  database->Open(param_.data_param().source(), db::READ);
  const std::unique_ptr<db::Cursor> cursor(database->NewCursor());
  if (!cursor->valid()) {
    const string& source = param_.data_param().source();
    throw Error("the database '" + source + "' holds no records: make it again", "", "", source);
  }
  while (!must_stop()) {
    for (const auto& pair : served_) read_one(cursor.get(), pair.get());
    CHECK_EQ(new_queue_pairs_.size(), 0u)
        << "more readers of '" << param_.data_param().source() << "' than solvers";
  }
}

void DataReader::Body::InternalThreadFailed(std::exception_ptr error) {
  for (const auto& pair : served_) pair->full_.fail(error);
  // A reader that comes now would wait for ever.
  try {
    while (true) new_queue_pairs_.pop()->full_.fail(error);
  } catch (const ThreadInterrupted&) {
  }
}

void DataReader::Body::read_one(db::Cursor* cursor, QueuePair* qp) {
  Datum* datum = qp->free_.pop();
  if (!datum->ParseFromString(cursor->value())) {
    const string& source = param_.data_param().source();
    throw Error("record '" + cursor->key() + "' of '" + source + "': it is not a Datum, or damaged", "", "",
                source);
  }
  qp->full_.push(datum);
  cursor->Next();
  if (cursor->valid()) return;
  LOG(INFO) << "Restarting data prefetching from start.";
  cursor->SeekToFirst();
}

}  // namespace caffe
