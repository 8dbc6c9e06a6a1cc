#ifndef CAFFE_COMPAT_BOOST_THREAD_BARRIER_HPP_
#define CAFFE_COMPAT_BOOST_THREAD_BARRIER_HPP_

#if __has_include_next(<boost/thread/barrier.hpp>)
#include_next <boost/thread/barrier.hpp>
#else

#include <condition_variable>
#include <mutex>

namespace boost {

/// Holds threads until a number of them wait, time after time.
class barrier {
 public:
  explicit barrier(unsigned int count) : count_(count), missing_(count) {}
  barrier(const barrier&) = delete;
  barrier& operator=(const barrier&) = delete;

  /// @return true in the thread that came last.
  bool wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    if (--missing_ == 0) {
      missing_ = count_;
      ++round_;
      all_here_.notify_all();
      return true;
    }
    const unsigned long round = round_;
    all_here_.wait(lock, [&] { return round != round_; });
    return false;
  }

 private:
  const unsigned int count_;
  unsigned int missing_;
  unsigned long round_ = 0;
  std::mutex mutex_;
  std::condition_variable all_here_;
};

}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_THREAD_BARRIER_HPP_
