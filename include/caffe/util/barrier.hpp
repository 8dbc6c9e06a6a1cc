#ifndef CAFFE_UTIL_BARRIER_HPP_
#define CAFFE_UTIL_BARRIER_HPP_

#include <cstdint>

#include "caffe/common.hpp"
#include "caffe/util/thread_stop.hpp"

namespace caffe {

/// Holds threads until a number of them wait, time after time.
class Barrier {
 public:
  explicit Barrier(int count) : count_(count), point_(std::make_shared<WaitPoint>()) {}

  /// @throws ThreadInterrupted where the calling thread is asked to stop before the others are here (see
  /// ThreadStop), or the barrier is closed.
  void Wait();

  /// Ends all waits, and those to come, with ThreadInterrupted.
  void Close();

 private:
  const int count_;
  const shared_ptr<WaitPoint> point_;
  int waiting_ = 0;
  uint64_t round_ = 0;
  bool closed_ = false;

  DISABLE_COPY_AND_ASSIGN(Barrier);
};

}  // namespace caffe

#endif  // CAFFE_UTIL_BARRIER_HPP_
