#ifndef CAFFE_UTIL_BLOCKING_QUEUE_HPP_
#define CAFFE_UTIL_BLOCKING_QUEUE_HPP_

#include <exception>
#include <mutex>
#include <queue>
#include <string>
#include <utility>

#include "caffe/common.hpp"
#include "caffe/util/thread_stop.hpp"

namespace caffe {

/**
 * @brief A first-in first-out queue between threads.
 *
 * A reader waits for an element; an InternalThread that is asked to stop leaves the wait (with
 * ThreadInterrupted, which ends the thread). A writer that fails hands its error over with `fail`.
 */
template <typename T>
class BlockingQueue {
 public:
  BlockingQueue() : sync_(std::make_shared<sync>()) {}

  void push(const T& t) {
    {
      const Lock lock(sync_->mutex);
      queue_.push(t);
    }
    sync_->condition.notify_all();
  }

  /// No more elements will come: once the queue is empty, pop and peek throw `error` again, in every call.
  void fail(std::exception_ptr error) {
    {
      const Lock lock(sync_->mutex);
      error_ = std::move(error);
    }
    sync_->condition.notify_all();
  }

  /// Drops the elements, and the error of `fail`.
  void clear() {
    const Lock lock(sync_->mutex);
    queue_ = std::queue<T>();
    error_ = nullptr;
  }

  /// Takes the first element if there is one.
  bool try_pop(T* t) {
    const Lock lock(sync_->mutex);
    if (queue_.empty()) return false;
    *t = queue_.front();
    queue_.pop();
    return true;
  }

  /// Waits for an element and takes it. Where it has to wait it logs `log_on_wait`, now and then.
  T pop(const string& log_on_wait = "") {
    Lock lock(sync_->mutex);
    WaitForElement(log_on_wait, &lock);
    T t = queue_.front();
    queue_.pop();
    return t;
  }

  /// Copies the first element if there is one.
  bool try_peek(T* t) {
    const Lock lock(sync_->mutex);
    if (queue_.empty()) return false;
    *t = queue_.front();
    return true;
  }

  /// Waits for an element and copies it.
  T peek() {
    Lock lock(sync_->mutex);
    WaitForElement("", &lock);
    return queue_.front();
  }

  size_t size() const {
    const Lock lock(sync_->mutex);
    return queue_.size();
  }

 protected:
  typedef WaitPoint sync;

  std::queue<T> queue_;
  shared_ptr<sync> sync_;

 private:
  typedef std::unique_lock<std::mutex> Lock;

  void WaitForElement(const string& log_on_wait, Lock* lock) {
    if (queue_.empty() && !error_ && !log_on_wait.empty()) {
      lock->unlock();
      LOG_EVERY_N(INFO, 1000) << log_on_wait;
      lock->lock();
    }
    ThreadStop::Wait(sync_, lock, [this] { return !queue_.empty() || error_; });
    if (queue_.empty()) std::rethrow_exception(error_);
  }

  std::exception_ptr error_;

  DISABLE_COPY_AND_ASSIGN(BlockingQueue);
};

}  // namespace caffe

#endif  // CAFFE_UTIL_BLOCKING_QUEUE_HPP_
