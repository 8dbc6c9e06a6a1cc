#include "caffe/util/barrier.hpp"

namespace caffe {

void Barrier::Wait() {
  std::unique_lock<std::mutex> lock(point_->mutex);
  if (closed_) throw ThreadInterrupted();
  if (++waiting_ == count_) {
    waiting_ = 0;
    ++round_;
    point_->condition.notify_all();
    return;
  }
  const auto passed = [this, round = round_] { return round != round_; };
  try {
    ThreadStop::Wait(point_, &lock, [&] { return passed() || closed_; });
  } catch (const ThreadInterrupted&) {
    --waiting_;
    throw;
  }
  if (!passed()) throw ThreadInterrupted();
}

void Barrier::Close() {
  {
    const std::lock_guard<std::mutex> lock(point_->mutex);
    closed_ = true;
  }
  point_->condition.notify_all();
}

}  // namespace caffe
