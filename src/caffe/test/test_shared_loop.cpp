#include "caffe/util/shared_loop.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "caffe/test/test_error_util.hpp"

namespace caffe {

TEST(SharedLoopTest, RunsEachItemOnce) {
  for (const int threads : {1, 2, 4, 9}) {
    for (const int items : {0, 1, 3, 100}) {
      std::vector<std::atomic<int>> runs(items);
      SharedLoop(items, threads, [&](int64_t i) { ++runs[i]; });
      for (int i = 0; i < items; ++i) EXPECT_EQ(1, runs[i]) << items << " items, " << threads << " threads";
    }
  }
}

TEST(SharedLoopTest, UsesSeveralThreadsAndNoMoreThanAskedFor) {
  std::mutex mutex;
  std::set<std::thread::id> seen;
  std::atomic<int> inside{0}, most{0};
  // Each item waits for another one, which needs a second thread.
  SharedLoop(2, 2, [&](int64_t) {
    ++inside;
    while (inside < 2) std::this_thread::yield();
    const std::lock_guard<std::mutex> lock(mutex);
    seen.insert(std::this_thread::get_id());
  });
  EXPECT_EQ(2u, seen.size());
  inside = 0;
  SharedLoop(200, 3, [&](int64_t) {
    const int now = ++inside;
    int before = most;
    while (before < now && !most.compare_exchange_weak(before, now)) continue;
    std::this_thread::yield();
    --inside;
  });
  EXPECT_LE(most, 3);
}

TEST(SharedLoopTest, ThrowsTheErrorOfTheFirstItemThatFails) {
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> running{0};
    const std::string error = ErrorOf([&] {
      SharedLoop(40, 4, [&](int64_t i) {
        ++running;
        if (i == 7 || i % 10 == 9) {
          --running;
          throw Error("item " + std::to_string(i));
        }
        --running;
      });
    });
    EXPECT_EQ("item 7", error);
    EXPECT_EQ(0, running);
  }
}

TEST(SharedLoopTest, LoopsMayRunAtATimeAndWithinEachOther) {
  std::atomic<int> runs{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 3; ++caller) {
    callers.emplace_back([&runs] {
      for (int round = 0; round < 20; ++round) {
        SharedLoop(5, 3, [&runs](int64_t) { SharedLoop(4, 3, [&runs](int64_t) { ++runs; }); });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(3 * 20 * 5 * 4, runs);
}

}  // namespace caffe
