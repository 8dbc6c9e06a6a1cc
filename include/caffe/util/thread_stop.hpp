#ifndef CAFFE_UTIL_THREAD_STOP_HPP_
#define CAFFE_UTIL_THREAD_STOP_HPP_

#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "caffe/common.hpp"

namespace caffe {

/// Ends a worker: thrown out of a wait when the worker has been asked to stop. It is no std::exception, so
/// that handlers of errors let it pass.
class ThreadInterrupted {};

/// A mutex, and the condition that what it guards has changed.
struct WaitPoint {
  std::mutex mutex;
  std::condition_variable condition;
};

/**
 * @brief The request to stop that one thread gives another, which may be waiting for something else.
 *
 * A wait on a WaitPoint ends when the thing waited for is there or when the waiting thread is asked to stop,
 * with no polling: the stop knows where its thread waits.
 */
class ThreadStop {
 public:
  ThreadStop() = default;

  /// Asks the thread to stop, and wakes it. From any thread.
  void Request();
  bool requested() const { return requested_; }

  /// Whether this is the process that made the stop, and not a child of fork(), which has no other thread
  /// than the one that forked.
  bool is_here() const { return process_ == getpid(); }

  /// Makes `stop` the calling thread's; null takes it away. @return the one that it had.
  static ThreadStop* SetCurrent(ThreadStop* stop);

  /// For work that waits in other ways. @throws ThreadInterrupted where the calling thread is asked to stop.
  static void ThrowIfRequested();

  /// Waits until `ready()`, called with the point's mutex held, is true. `lock` holds the point's mutex.
  /// @throws ThreadInterrupted where the calling thread is asked to stop before.
  template <typename Ready>
  static void Wait(const shared_ptr<WaitPoint>& point, std::unique_lock<std::mutex>* lock, Ready ready) {
    const Waiting waiting(point);
    point->condition.wait(*lock, [&] { return ready() || waiting.interrupted(); });
    if (!ready()) throw ThreadInterrupted();
  }

 private:
  /// Tells the calling thread's stop, if it has one, where the thread waits.
  class Waiting {
   public:
    explicit Waiting(const shared_ptr<WaitPoint>& point);
    ~Waiting();
    bool interrupted() const { return stop_ != nullptr && stop_->requested(); }

   private:
    ThreadStop* stop_;
    DISABLE_COPY_AND_ASSIGN(Waiting);
  };

  void set_waits_at(shared_ptr<WaitPoint> point);

  const pid_t process_ = getpid();
  std::atomic<bool> requested_{false};
  std::mutex mutex_;
  shared_ptr<WaitPoint> waits_at_;

  DISABLE_COPY_AND_ASSIGN(ThreadStop);
};

}  // namespace caffe

#endif  // CAFFE_UTIL_THREAD_STOP_HPP_
