#include "caffe/util/solver_threads.hpp"

#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace caffe {

SolverThreads::SolverThreads(int count)
    : count_(count), barrier_(count), stops_(std::make_unique<ThreadStop[]>(count)) {}

void SolverThreads::Run(const std::function<void(int rank)>& work) {
  const Caffe::Brew mode = Caffe::mode();
  vector<std::thread> threads;
  try {
    for (int rank = 1; rank < count_; ++rank) {
      threads.emplace_back([this, &work, mode, rank] {
        Caffe::set_mode(mode);
        Caffe::set_solver_count(count_);
        Caffe::set_solver_rank(rank);
        RunRank(rank, work);
      });
    }
  } catch (const std::system_error& error) {
    Fail(std::make_exception_ptr(Error(string("cannot start a thread: ") + error.what())));
  }
  if (!failed()) RunRank(0, work);
  Finish();
  for (std::thread& thread : threads) thread.join();
  if (error_) std::rethrow_exception(error_);
}

void SolverThreads::RunRank(int rank, const std::function<void(int rank)>& work) {
  ThreadStop* const before = ThreadStop::SetCurrent(&stops_[rank]);
  try {
    work(rank);
  } catch (...) {
    Fail(std::current_exception());
  }
  ThreadStop::SetCurrent(before);
}

void SolverThreads::Fail(std::exception_ptr error) {
  // The log tells which solver it was; the calling thread gets the error of its own anyway.
  const bool tell = !failed() && Caffe::solver_rank() > 0;
  try {
    std::rethrow_exception(error);
  } catch (const ThreadInterrupted&) {
    return;
  } catch (const std::exception& known) {
    LOG_IF(ERROR, tell) << "Solver " << Caffe::solver_rank() << " failed: " << known.what();
  } catch (...) {
    LOG_IF(ERROR, tell) << "Solver " << Caffe::solver_rank() << " failed";
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!error_) error_ = std::move(error);
  }
  failed_ = true;
  for (int rank = 0; rank < count_; ++rank) stops_[rank].Request();
}

}  // namespace caffe
