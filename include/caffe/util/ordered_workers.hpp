#ifndef CAFFE_UTIL_ORDERED_WORKERS_HPP_
#define CAFFE_UTIL_ORDERED_WORKERS_HPP_

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "caffe/common.hpp"

namespace caffe {

/**
 * @brief Makes the items 0 ... count - 1 in threads of its own, and hands them out in this order.
 *
 * The threads work ahead of the taker until what waits for it has `max_waiting_bytes`; each may then still
 * end the item that it is at. An item whose making throws is an error for its taker only.
 */
template <typename T>
class OrderedWorkers {
 public:
  /// Makes the item of a number, in any thread.
  typedef std::function<T(int64_t number)> Make;
  /// The memory that an item takes.
  typedef std::function<size_t(const T& item)> BytesOf;

  OrderedWorkers(int64_t count, int threads, size_t max_waiting_bytes, Make make, BytesOf bytes_of)
      : count_(count),
        max_waiting_bytes_(max_waiting_bytes),
        make_(std::move(make)),
        bytes_of_(std::move(bytes_of)) {
    CHECK_GE(threads, 1) << "the number of threads must be positive";
    const int useful = static_cast<int>(std::min<int64_t>(threads, count));
    try {
      for (int i = 0; i < useful; ++i) threads_.emplace_back(&OrderedWorkers::Work, this);
    } catch (const std::system_error& error) {
      // With fewer threads it takes longer.
      if (threads_.empty()) LOG(FATAL) << "cannot start a thread: " << error.what();
    }
  }

  /// Waits for the items being made; they are dropped, and what comes after them is not made.
  ~OrderedWorkers() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopped_ = true;
    }
    may_start_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  /// Waits for the next item and takes it; false after the last. Throws what the making of the item has
  /// thrown; the next call is for the item after it.
  bool Take(T* item) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (taken_ == count_) return false;
    is_made_.wait(lock, [this] { return made_.count(taken_) > 0; });
    const auto first = made_.find(taken_);
    Made made = std::move(first->second);
    made_.erase(first);
    ++taken_;
    waiting_bytes_ -= made.bytes;
    lock.unlock();
    may_start_.notify_all();
    if (made.error) std::rethrow_exception(made.error);
    *item = std::move(made.item);
    return true;
  }

 private:
  struct Made {
    T item{};
    size_t bytes = 0;
    std::exception_ptr error;
  };

  /// Whether the next item may be started: always the one that the taker waits for.
  bool may_start() const { return next_ == taken_ || waiting_bytes_ < max_waiting_bytes_; }

  void Work() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      may_start_.wait(lock, [this] { return stopped_ || next_ == count_ || may_start(); });
      if (stopped_ || next_ == count_) return;
      const int64_t number = next_++;
      lock.unlock();
      Made made;
      try {
        made.item = make_(number);
        made.bytes = bytes_of_(made.item);
      } catch (...) {
        made.error = std::current_exception();
      }
      lock.lock();
      waiting_bytes_ += made.bytes;
      made_.emplace(number, std::move(made));
      if (number == taken_) is_made_.notify_one();
    }
  }

  const int64_t count_;
  const size_t max_waiting_bytes_;
  const Make make_;
  const BytesOf bytes_of_;

  std::mutex mutex_;
  std::condition_variable may_start_;
  std::condition_variable is_made_;
  bool stopped_ = false;
  int64_t next_ = 0;
  int64_t taken_ = 0;
  size_t waiting_bytes_ = 0;
  std::map<int64_t, Made> made_;
  vector<std::thread> threads_;

  DISABLE_COPY_AND_ASSIGN(OrderedWorkers);
};

}  // namespace caffe

#endif  // CAFFE_UTIL_ORDERED_WORKERS_HPP_
