#include "caffe/util/ordered_workers.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "caffe/test/test_error_util.hpp"

namespace caffe {

namespace {

typedef OrderedWorkers<string> Workers;

size_t BytesOf(const string& item) { return item.size(); }

/// Ends later the smaller the number within a group of 8 is.
string SlowFirst(int64_t number) {
  std::this_thread::sleep_for(std::chrono::microseconds(100 * (8 - number % 8)));
  return std::to_string(number);
}

}  // namespace

TEST(OrderedWorkersTest, HandsOutInOrder) {
  for (int threads : {1, 2, 7}) {
    for (int64_t count : {0, 1, 100}) {
      Workers workers(count, threads, 1000, SlowFirst, BytesOf);
      string item;
      for (int64_t i = 0; i < count; ++i) {
        ASSERT_TRUE(workers.Take(&item));
        EXPECT_EQ(std::to_string(i), item);
      }
      EXPECT_FALSE(workers.Take(&item));
      EXPECT_FALSE(workers.Take(&item));
    }
  }
}

TEST(OrderedWorkersTest, AnErrorIsThatOfItsItem) {
  Workers workers(
      5, 3, 1000,
      [](int64_t number) {
        LOG_IF(FATAL, number % 2 == 1) << "no item " << number;
        return std::to_string(number);
      },
      BytesOf);
  string item;
  for (int64_t i = 0; i < 5; ++i) {
    const string error = ErrorOf([&] { workers.Take(&item); });
    if (i % 2 == 1) {
      EXPECT_EQ("no item " + std::to_string(i), error);
    } else {
      EXPECT_EQ(std::to_string(i), item);
    }
  }
  EXPECT_FALSE(workers.Take(&item));
}

TEST(OrderedWorkersTest, WorksAheadUpToTheLimit) {
  constexpr int kThreads = 3;
  constexpr int kWaiting = 10;
  std::atomic<int> made{0};
  Workers workers(
      1000, kThreads, kWaiting * 100,
      [&](int64_t) {
        ++made;
        return string(100, 'x');
      },
      BytesOf);
  string item;
  for (int taken = 1; taken <= 50; ++taken) {
    ASSERT_TRUE(workers.Take(&item));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_LE(made, taken + kWaiting + kThreads);
  }
}

TEST(OrderedWorkersTest, AnItemAboveTheLimitPasses) {
  Workers workers(
      20, 4, 1, [](int64_t number) { return string(10, static_cast<char>('a' + number)); }, BytesOf);
  string item;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(workers.Take(&item));
    EXPECT_EQ(string(10, static_cast<char>('a' + i)), item);
  }
}

TEST(OrderedWorkersTest, EndsBeforeAllIsTaken) {
  std::atomic<int> made{0};
  {
    Workers workers(
        1000000, 4, 100,
        [&](int64_t number) {
          ++made;
          return SlowFirst(number);
        },
        BytesOf);
    string item;
    EXPECT_TRUE(workers.Take(&item));
  }
  EXPECT_LT(made, 1000);
}

TEST(OrderedWorkersTest, NeedsAThread) {
  EXPECT_TRUE(Contains(ErrorOf([] { Workers(1, 0, 1, SlowFirst, BytesOf); }), "must be positive"));
}

}  // namespace caffe
