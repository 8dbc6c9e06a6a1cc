#ifndef CAFFE_UTIL_SOLVER_THREADS_HPP_
#define CAFFE_UTIL_SOLVER_THREADS_HPP_

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>

#include "caffe/common.hpp"
#include "caffe/util/barrier.hpp"
#include "caffe/util/thread_stop.hpp"

namespace caffe {

/**
 * @brief Threads of this process that train together, one for each solver.
 *
 * They go in step by Wait. When one of them fails, the others leave whatever ThreadStop::Wait they are in:
 * here, or for data.
 */
class SolverThreads {
 public:
  explicit SolverThreads(int count);

  int count() const { return count_; }

  /**
   * @brief Runs work(rank) for all ranks, rank 0 in the calling thread and each other in a thread of its own,
   * which has the rank as its Caffe::solver_rank and computes in the calling thread's mode.
   *
   * Returns when all have ended. ThreadInterrupted is no failure.
   *
   * @throws what the first to fail has thrown.
   */
  void Run(const std::function<void(int rank)>& work);

  /// Waits until all threads are here. @throws ThreadInterrupted after Finish, or where a thread has failed.
  void Wait() { barrier_.Wait(); }

  /// There is nothing left to do together: ends all waits, and those to come.
  void Finish() { barrier_.Close(); }

  /// Stops all threads because of what the calling one has caught; of ThreadInterrupted nothing comes. Run
  /// does this itself for what `work` throws; earlier is for work that must know it while it cleans up.
  void Fail(std::exception_ptr error);
  bool failed() const { return failed_; }

 private:
  /// Runs the work of a rank in the calling thread.
  void RunRank(int rank, const std::function<void(int rank)>& work);

  const int count_;
  Barrier barrier_;
  const std::unique_ptr<ThreadStop[]> stops_;
  std::mutex mutex_;
  std::exception_ptr error_;
  std::atomic<bool> failed_{false};

  DISABLE_COPY_AND_ASSIGN(SolverThreads);
};

}  // namespace caffe

#endif  // CAFFE_UTIL_SOLVER_THREADS_HPP_
