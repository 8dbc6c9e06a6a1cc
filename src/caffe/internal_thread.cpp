#include "caffe/internal_thread.hpp"

#include <system_error>
#include <utility>

#include "caffe/util/math_functions.hpp"

namespace caffe {

InternalThread::~InternalThread() { StopInternalThread(); }

bool InternalThread::is_started() const { return thread_.joinable(); }

bool InternalThread::is_left_behind() const { return is_started() && !stop_->is_here(); }

bool InternalThread::must_stop() { return stop_ != nullptr && stop_->requested(); }

void InternalThread::StartInternalThread() {
  CHECK(!is_started()) << "the thread runs already: StopInternalThread ends it";
  stop_ = std::make_unique<ThreadStop>();
  // On a machine without a GPU there is no device to ask for.
  const int device = Caffe::mode() == Caffe::GPU ? Caffe::device() : -1;
  try {
    thread_ = std::thread(&InternalThread::Run, this, Caffe::mode(), device, caffe_rng_rand(),
                          Caffe::solver_count(), Caffe::solver_rank(), Caffe::multiprocess());
  } catch (const std::system_error& error) {
    LOG(FATAL) << "cannot start a thread: " << error.what();
  }
}

void InternalThread::StopInternalThread() {
  if (!is_started()) return;
  if (is_left_behind()) {
    // Kept for ever: the handle names no thread of this process, and the condition that the worker waited
    // for, which the stop holds, would wait for the worker before it went.
    static_cast<void>(new std::thread(std::move(thread_)));
    static_cast<void>(stop_.release());
    return;
  }
  stop_->Request();
  thread_.join();
}

void InternalThread::Run(Caffe::Brew mode, int device, unsigned int seed, int solver_count, int solver_rank,
                         bool multiprocess) {
  ThreadStop::SetCurrent(stop_.get());
  Caffe::Get().mode_ = mode;
  Caffe::set_random_seed(seed);
  Caffe::set_solver_count(solver_count);
  Caffe::set_solver_rank(solver_rank);
  Caffe::set_multiprocess(multiprocess);
  try {
    if (device >= 0) Caffe::SetDevice(device);
    InternalThreadEntry();
  } catch (const ThreadInterrupted&) {
  } catch (...) {
    InternalThreadFailed(std::current_exception());
  }
}

void InternalThread::InternalThreadFailed(std::exception_ptr error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& known) {
    LOG(ERROR) << "a worker thread ended with an error: " << known.what();
  } catch (...) {
    LOG(ERROR) << "a worker thread ended with an error of unknown type";
  }
}

}  // namespace caffe
