#ifndef CAFFE_UTIL_BENCHMARK_H_
#define CAFFE_UTIL_BENCHMARK_H_

#include <chrono>

// Code written for Caffe says boost::posix_time after this header.
#if __has_include(<boost/date_time/posix_time/posix_time.hpp>)
#include <boost/date_time/posix_time/posix_time.hpp>
#endif

#include "caffe/common.hpp"

namespace caffe {

/**
 * @brief A stopwatch for what the current mode computes.
 *
 * In GPU mode it tells the time that the calling thread's GPU takes for what is started between Start and
 * Stop, and Stop waits for that. The elapsed time is that of the last Start ... Stop; reading it stops a
 * running timer. A timer that never ran reads 0, with a warning.
 */
class Timer {
 public:
  Timer();
  virtual ~Timer();

  /// Nothing happens where the timer runs already.
  virtual void Start();
  virtual void Stop();
  virtual float MilliSeconds();
  virtual float MicroSeconds();
  virtual float Seconds();

  bool initted() { return initted_; }
  bool running() { return running_; }
  bool has_run_at_least_once() { return has_run_at_least_once_; }

 protected:
  void Init();

  bool initted_ = false;
  bool running_ = false;
  bool has_run_at_least_once_ = false;
#ifndef CPU_ONLY
  cudaEvent_t start_gpu_ = nullptr;
  cudaEvent_t stop_gpu_ = nullptr;
#endif
  std::chrono::steady_clock::time_point start_cpu_;
  std::chrono::steady_clock::time_point stop_cpu_;
  float elapsed_milliseconds_ = 0;
  float elapsed_microseconds_ = 0;

  /// Whether the GPU's time is taken.
  virtual bool OnGpu() const;

 private:
  /// Of the last Start.
  bool on_gpu_ = false;

  DISABLE_COPY_AND_ASSIGN(Timer);
};

/// The time of the host in every mode; without a GPU that is what a Timer tells.
class CPUTimer : public Timer {
 protected:
  bool OnGpu() const override { return false; }
};

}  // namespace caffe

#endif  // CAFFE_UTIL_BENCHMARK_H_
