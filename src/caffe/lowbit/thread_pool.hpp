#ifndef CAFFE_LOWBIT_THREAD_POOL_HPP_
#define CAFFE_LOWBIT_THREAD_POOL_HPP_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "caffe/lowbit/function_ref.hpp"

namespace caffe {
namespace lowbit {

/**
 * @brief Threads that share loops; one pool serves all callers of the process.
 *
 * The calling thread works too, so that a loop never waits for threads that others keep busy. A child of
 * fork() has a pool of its own, which starts empty.
 */
class ThreadPool {
 public:
  /// Of one loop.
  static constexpr int kMaxThreads = 1024;

  static ThreadPool& Shared();

  /// Runs body(task) for each of `tasks` tasks on at most `threads` threads, in any order. An exception of
  /// one is thrown again here, after the tasks that had begun have ended; the others are left out.
  void Run(int threads, int64_t tasks, FunctionRef<void(int64_t task)> body);

  /// The processors that this process may run on; OMP_NUM_THREADS where it is set to a positive number.
  static int DefaultThreads();

 private:
  struct Job;

  ThreadPool() = default;
  /// Of a thread of the pool, numbered from 1 on; a loop's caller is number 0.
  void Work(int thread);
  /// Under the lock.
  void StartThreads(int64_t wanted);
  static void RunTasks(Job* job, int thread);

  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable done_;
  std::vector<Job*> jobs_;
  std::vector<std::thread> threads_;
  /// Jobs that still want a thread: what idle threads watch for a moment before they sleep.
  std::atomic<int> wanted_{0};
};

/// Lets the calling thread's loops run on other threads than the pool's for as long as it lives: those of a
/// program that has its own, which the pool's would keep from working.
class LoopsElsewhere {
 public:
  using Loop = std::function<void(int64_t tasks, const std::function<void(int64_t task)>& body)>;

  /// The loop must outlive this.
  explicit LoopsElsewhere(const Loop& loop);
  ~LoopsElsewhere();
  LoopsElsewhere(const LoopsElsewhere&) = delete;
  LoopsElsewhere& operator=(const LoopsElsewhere&) = delete;

 private:
  const Loop* const before_;
};

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_THREAD_POOL_HPP_
