#include "caffe/util/thread_stop.hpp"

#include <utility>

namespace caffe {

namespace {

thread_local ThreadStop* current_stop = nullptr;

}  // namespace

ThreadStop* ThreadStop::SetCurrent(ThreadStop* stop) { return std::exchange(current_stop, stop); }

void ThreadStop::ThrowIfRequested() {
  if (current_stop != nullptr && current_stop->requested()) throw ThreadInterrupted();
}

void ThreadStop::set_waits_at(shared_ptr<WaitPoint> point) {
  const std::lock_guard<std::mutex> lock(mutex_);
  waits_at_ = std::move(point);
}

void ThreadStop::Request() {
  requested_ = true;
  shared_ptr<WaitPoint> point;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    point = waits_at_;
  }
  if (!point) return;
  // The waiting thread holds this mutex from telling where it waits until it sleeps: once it is free here,
  // the thread sleeps and hears the call, or has seen the request.
  { const std::lock_guard<std::mutex> lock(point->mutex); }
  point->condition.notify_all();
}

ThreadStop::Waiting::Waiting(const shared_ptr<WaitPoint>& point) : stop_(current_stop) {
  if (stop_ != nullptr) stop_->set_waits_at(point);
}

ThreadStop::Waiting::~Waiting() {
  if (stop_ != nullptr) stop_->set_waits_at(nullptr);
}

}  // namespace caffe
