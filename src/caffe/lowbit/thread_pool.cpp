#include "caffe/lowbit/thread_pool.hpp"

#ifdef __linux__
#include <pthread.h>
#include <sched.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <system_error>

namespace caffe {
namespace lowbit {

namespace {

// Where the calling thread's loops run instead.
thread_local const LoopsElsewhere::Loop* loop_elsewhere = nullptr;

// Some microseconds: stages of a net follow one another faster than a thread falls asleep and wakes.
constexpr int kSpins = 4000;

inline void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

}  // namespace

// Tasks that follow one another are a thread's, who goes on with another's when it has done its own: so what
// a loop wrote stays with the thread that reads it in the next loop, which has it in its cache.
struct ThreadPool::Job {
  struct alignas(64) Share {
    std::atomic<int64_t> next;
    int64_t end;
  };
  static constexpr int kMostShares = 64;

  Job(FunctionRef<void(int64_t task)> job_body, int64_t tasks, int helpers)
      : body(job_body), shares(std::min(helpers + 1, kMostShares)), open(helpers) {
    for (int i = 0; i < shares; ++i) {
      share[i].next = tasks * i / shares;
      share[i].end = tasks * (i + 1) / shares;
    }
  }

  const FunctionRef<void(int64_t task)> body;
  const int shares;
  Share share[kMostShares];
  /// Threads it still takes; guarded by the pool's mutex.
  int open;
  std::atomic<int> running{0};
  std::exception_ptr failure;
  std::mutex failure_mutex;
};

ThreadPool& ThreadPool::Shared() {
  // Never destroyed: its threads may outlive the statics of the program that they would wait in. A child of
  // fork() has none of the threads and takes a new pool.
  static std::atomic<ThreadPool*> pool{new ThreadPool};
#ifdef __linux__
  static const int registered = pthread_atfork(nullptr, nullptr, [] { pool = new ThreadPool; });
  static_cast<void>(registered);
#endif
  return *pool;
}

int ThreadPool::DefaultThreads() {
  if (const char* text = std::getenv("OMP_NUM_THREADS")) {
    const long threads = std::strtol(text, nullptr, 10);                              // NOLINT(runtime/int)
    if (threads >= 1) return static_cast<int>(std::min<long>(threads, kMaxThreads));  // NOLINT(runtime/int)
  }
#ifdef __linux__
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) return std::max(CPU_COUNT(&allowed), 1);
#endif
  return std::max(1u, std::thread::hardware_concurrency());
}

void ThreadPool::RunTasks(Job* job, int thread) {
  const int own = thread == 0 || job->shares == 1 ? 0 : 1 + (thread - 1) % (job->shares - 1);
  for (int i = 0; i < job->shares; ++i) {
    Job::Share& share = job->share[(own + i) % job->shares];
    for (int64_t task = share.next++; task < share.end; task = share.next++) {
      try {
        job->body(task);
      } catch (...) {
        std::lock_guard<std::mutex> lock(job->failure_mutex);
        if (!job->failure) job->failure = std::current_exception();
        for (int s = 0; s < job->shares; ++s) job->share[s].next = job->share[s].end;
      }
    }
  }
}

void ThreadPool::Work(int thread) {
  for (;;) {
    for (int spin = 0; spin < kSpins && wanted_.load(std::memory_order_relaxed) == 0; ++spin) Pause();
    Job* job;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      if (jobs_.empty()) {
        // One that wakes too late for a loop watches for the next, or it would be too late for that as well.
        work_.wait(lock);
        continue;
      }
      job = jobs_.front();
      ++job->running;
      if (--job->open == 0) {
        jobs_.erase(jobs_.begin());
        --wanted_;
      }
    }
    RunTasks(job, thread);
    {
      // Under the lock, so that the caller, which destroys the job, does not see the count fall before this
      // thread has let go of it.
      std::lock_guard<std::mutex> lock(mutex_);
      if (--job->running == 0) done_.notify_all();
    }
  }
}

void ThreadPool::StartThreads(int64_t wanted) {
  try {
    while (static_cast<int64_t>(threads_.size()) < wanted) {
      threads_.emplace_back([this, thread = static_cast<int>(threads_.size()) + 1] { Work(thread); });
    }
  } catch (const std::system_error&) {
    // The system has no more: those that there are, the caller among them, do the work.
  }
}

void ThreadPool::Run(int threads, int64_t tasks, FunctionRef<void(int64_t task)> body) {
  const int64_t helpers = std::min<int64_t>(threads, tasks) - 1;
  if (helpers >= 1 && loop_elsewhere) return (*loop_elsewhere)(tasks, body);
  if (helpers < 1) {
    for (int64_t task = 0; task < tasks; ++task) body(task);
    return;
  }
  Job job(body, tasks, static_cast<int>(helpers));
  {
    std::lock_guard<std::mutex> lock(mutex_);
    StartThreads(helpers);
    jobs_.push_back(&job);
    ++wanted_;
  }
  work_.notify_all();
  RunTasks(&job, 0);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto mine = std::find(jobs_.begin(), jobs_.end(), &job);
    if (mine != jobs_.end()) {
      jobs_.erase(mine);
      --wanted_;
    }
  }
  for (int spin = 0; spin < kSpins && job.running.load(std::memory_order_relaxed) != 0; ++spin) Pause();
  std::unique_lock<std::mutex> lock(mutex_);
  done_.wait(lock, [&job] { return job.running == 0; });
  if (job.failure) std::rethrow_exception(job.failure);
}

LoopsElsewhere::LoopsElsewhere(const Loop& loop) : before_(loop_elsewhere) { loop_elsewhere = &loop; }

LoopsElsewhere::~LoopsElsewhere() { loop_elsewhere = before_; }

}  // namespace lowbit
}  // namespace caffe
