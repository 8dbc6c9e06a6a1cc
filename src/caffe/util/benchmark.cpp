#include "caffe/util/benchmark.hpp"

namespace caffe {

Timer::Timer() { Init(); }

Timer::~Timer() {
#ifndef CPU_ONLY
  if (start_gpu_) cudaEventDestroy(start_gpu_);
  if (stop_gpu_) cudaEventDestroy(stop_gpu_);
#endif
}

bool Timer::OnGpu() const {
#ifdef CPU_ONLY
  return false;
#else
  return Caffe::mode() == Caffe::GPU;
#endif
}

void Timer::Init() { initted_ = true; }

void Timer::Start() {
  if (running_) return;
  on_gpu_ = OnGpu();
  if (on_gpu_) {
#ifndef CPU_ONLY
    if (!start_gpu_) CUDA_CHECK(cudaEventCreate(&start_gpu_));
    if (!stop_gpu_) CUDA_CHECK(cudaEventCreate(&stop_gpu_));
    CUDA_CHECK(cudaEventRecord(start_gpu_, cudaStreamPerThread));
#endif
  } else {
    start_cpu_ = std::chrono::steady_clock::now();
  }
  running_ = true;
  has_run_at_least_once_ = true;
}

void Timer::Stop() {
  if (!running_) return;
  running_ = false;
  if (on_gpu_) {
#ifndef CPU_ONLY
    CUDA_CHECK(cudaEventRecord(stop_gpu_, cudaStreamPerThread));
    CUDA_CHECK(cudaEventSynchronize(stop_gpu_));
#endif
  } else {
    stop_cpu_ = std::chrono::steady_clock::now();
  }
}

float Timer::MicroSeconds() {
  if (!has_run_at_least_once_) {
    LOG(WARNING) << "Timer has never been run before reading time.";
    return 0;
  }
  if (running_) Stop();
  if (on_gpu_) {
#ifndef CPU_ONLY
    CUDA_CHECK(cudaEventElapsedTime(&elapsed_milliseconds_, start_gpu_, stop_gpu_));
    elapsed_microseconds_ = elapsed_milliseconds_ * 1000;
#endif
  } else {
    elapsed_microseconds_ = std::chrono::duration<float, std::micro>(stop_cpu_ - start_cpu_).count();
  }
  return elapsed_microseconds_;
}

float Timer::MilliSeconds() {
  elapsed_milliseconds_ = MicroSeconds() / 1000;
  return elapsed_milliseconds_;
}

float Timer::Seconds() { return MilliSeconds() / 1000; }

}  // namespace caffe
