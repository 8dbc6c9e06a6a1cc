#include "caffe/util/benchmark.hpp"

namespace caffe {

Timer::Timer() { Init(); }

void Timer::Init() { initted_ = true; }

void Timer::Start() {
  if (running_) return;
  start_cpu_ = std::chrono::steady_clock::now();
  running_ = true;
  has_run_at_least_once_ = true;
}

void Timer::Stop() {
  if (!running_) return;
  stop_cpu_ = std::chrono::steady_clock::now();
  running_ = false;
}

float Timer::MicroSeconds() {
  if (!has_run_at_least_once_) {
    LOG(WARNING) << "Timer has never been run before reading time.";
    return 0;
  }
  if (running_) Stop();
  elapsed_microseconds_ = std::chrono::duration<float, std::micro>(stop_cpu_ - start_cpu_).count();
  return elapsed_microseconds_;
}

float Timer::MilliSeconds() {
  elapsed_milliseconds_ = MicroSeconds() / 1000;
  return elapsed_milliseconds_;
}

float Timer::Seconds() { return MilliSeconds() / 1000; }

}  // namespace caffe
