#include "caffe/lowbit/thread_pool.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

// Only of libhwgq and GoogleTest, so that scripts/test_neon.sh can build it for another processor.

namespace caffe {
namespace lowbit {

namespace {

// How often each task ran.
std::vector<int> Count(int threads, int64_t tasks) {
  std::vector<std::atomic<int>> counts(tasks);
  ThreadPool::Shared().Run(threads, tasks, [&](int64_t task) { ++counts[task]; });
  return {counts.begin(), counts.end()};
}

class OmpThreads {
 public:
  explicit OmpThreads(const char* value) { setenv("OMP_NUM_THREADS", value, 1); }
  ~OmpThreads() { unsetenv("OMP_NUM_THREADS"); }
};

}  // namespace

TEST(ThreadPoolTest, RunsEveryTaskOnce) {
  for (const int threads : {-1, 0, 1, 2, 3, 8}) {
    for (const int64_t tasks : {0, 1, 2, 7, 1000}) {
      EXPECT_EQ(Count(threads, tasks), std::vector<int>(tasks, 1))
          << threads << " threads, " << tasks << " tasks";
    }
  }
}

TEST(ThreadPoolTest, RunsShortLoopsOneAfterTheOther) {
  std::atomic<int64_t> sum{0};
  for (int repeat = 0; repeat < 2000; ++repeat) {
    ThreadPool::Shared().Run(3, 5, [&](int64_t task) { sum += task; });
  }
  EXPECT_EQ(sum, 2000 * 10);
}

TEST(ThreadPoolTest, UsesNoMoreThreadsThanItMay) {
  for (const int threads : {1, 2, 4}) {
    std::mutex mutex;
    std::set<std::thread::id> seen;
    ThreadPool::Shared().Run(threads, 200, [&](int64_t) {
      std::this_thread::yield();
      const std::lock_guard<std::mutex> lock(mutex);
      seen.insert(std::this_thread::get_id());
    });
    EXPECT_LE(seen.size(), static_cast<size_t>(threads));
    EXPECT_EQ(seen.count(std::this_thread::get_id()), 1u) << "the caller works, too";
  }
}

// The caller with the first ones, whichever of the pool's threads the other one is.
TEST(ThreadPoolTest, ThreadsBeginWithTasksOfTheirOwn) {
  for (int repeat = 0; repeat < 20; ++repeat) {
    std::mutex mutex;
    std::map<std::thread::id, int64_t> first_tasks;
    std::atomic<int> begun{0};
    ThreadPool::Shared().Run(2, 10, [&](int64_t task) {
      {
        const std::lock_guard<std::mutex> lock(mutex);
        if (first_tasks.emplace(std::this_thread::get_id(), task).second) ++begun;
      }
      while (begun < 2) std::this_thread::yield();
    });
    ASSERT_EQ(first_tasks.size(), 2u);
    for (const auto& [thread, task] : first_tasks) {
      EXPECT_EQ(task, thread == std::this_thread::get_id() ? 0 : 5);
    }
  }
}

// All of them are needed: no task ends before as many have begun.
TEST(ThreadPoolTest, UsesAllThreadsThatItMay) {
  std::atomic<int> begun{0};
  ThreadPool::Shared().Run(4, 4, [&](int64_t) {
    ++begun;
    while (begun < 4) std::this_thread::yield();
  });
  EXPECT_EQ(begun, 4);
}

TEST(ThreadPoolTest, ThrowsATasksException) {
  for (const int threads : {1, 3}) {
    std::atomic<int> running{0};
    try {
      ThreadPool::Shared().Run(threads, 1000, [&](int64_t task) {
        ++running;
        std::this_thread::yield();
        --running;
        if (task == 5) throw std::runtime_error("task 5");
      });
      ADD_FAILURE() << "the exception is lost";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "task 5");
    }
    EXPECT_EQ(running, 0);
    EXPECT_EQ(Count(threads, 100), std::vector<int>(100, 1));
  }
}

TEST(ThreadPoolTest, LeavesOutTasksAfterAnException) {
  std::atomic<int> ran{0};
  EXPECT_THROW(ThreadPool::Shared().Run(2, 1000000,
                                        [&](int64_t) {
                                          ++ran;
                                          throw std::runtime_error("at once");
                                        }),
               std::runtime_error);
  EXPECT_LE(ran, 2);
}

TEST(ThreadPoolTest, RunsLoopsWithinLoops) {
  std::atomic<int> sum{0};
  ThreadPool::Shared().Run(3, 10, [&](int64_t) {
    ThreadPool::Shared().Run(3, 10,
                             [&](int64_t) { ThreadPool::Shared().Run(2, 3, [&](int64_t) { ++sum; }); });
  });
  EXPECT_EQ(sum, 300);
}

TEST(ThreadPoolTest, ServesManyCallers) {
  std::vector<std::thread> callers;
  std::atomic<int64_t> sum{0};
  for (int caller = 0; caller < 8; ++caller) {
    callers.emplace_back([&] {
      for (int repeat = 0; repeat < 200; ++repeat) {
        ThreadPool::Shared().Run(4, 9, [&](int64_t task) { sum += task; });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(sum, 8 * 200 * 36);
}

// A child of fork() lacks the threads that its parent's pool had.
TEST(ThreadPoolTest, WorksInAChildProcess) {
  EXPECT_EQ(Count(3, 50), std::vector<int>(50, 1));
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    alarm(20);
    _exit(Count(3, 50) == std::vector<int>(50, 1) ? 0 : 1);
  }
  int status;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(ThreadPoolTest, TakesTheNumberOfThreadsFromTheEnvironment) {
  unsetenv("OMP_NUM_THREADS");
  const int processors = ThreadPool::DefaultThreads();
  EXPECT_GE(processors, 1);
  for (const auto& [text, threads] :
       std::vector<std::pair<const char*, int>>{{"1", 1},
                                                {"7", 7},
                                                {"4,2", 4},
                                                {"", processors},
                                                {"0", processors},
                                                {"-3", processors},
                                                {"many", processors},
                                                {"99999999999999999999", ThreadPool::kMaxThreads}}) {
    const OmpThreads wanted(text);
    EXPECT_EQ(ThreadPool::DefaultThreads(), threads) << text;
  }
}

TEST(ThreadPoolTest, RunsLoopsElsewhere) {
  int loops = 0;
  const LoopsElsewhere::Loop loop = [&](int64_t tasks, const std::function<void(int64_t)>& body) {
    ++loops;
    for (int64_t task = 0; task < tasks; ++task) body(task);
  };
  {
    const LoopsElsewhere elsewhere(loop);
    EXPECT_EQ(Count(4, 10), std::vector<int>(10, 1));
    // A loop for one thread needs no others.
    EXPECT_EQ(Count(1, 10), std::vector<int>(10, 1));
    EXPECT_EQ(loops, 1);
  }
  EXPECT_EQ(Count(4, 10), std::vector<int>(10, 1));
  EXPECT_EQ(loops, 1);
}

}  // namespace lowbit
}  // namespace caffe
