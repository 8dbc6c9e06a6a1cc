#include "caffe/util/parallel_for.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "caffe/util/logging.hpp"
#include "layer_test_util.hpp"

namespace caffe {

namespace {

using Range = std::pair<int64_t, int64_t>;

// The ranges of each chunk, by its number.
std::vector<Range> Chunks(int64_t n, int64_t grain) {
  std::vector<Range> chunks(ParallelChunks(n, grain), Range(-1, -1));
  ParallelForChunks(n, grain, [&](int chunk, int64_t begin, int64_t end) { chunks[chunk] = {begin, end}; });
  return chunks;
}

}  // namespace

TEST(ParallelForTest, VisitsEveryIndexOnce) {
  for (int threads : {1, 2, 3, 8}) {
    const ThreadsForTest set(threads);
    for (int64_t n : {1, 2, 7, 64, 1000}) {
      for (int64_t grain : {1, 3, 100}) {
        std::vector<int> visits(n, 0);
        ParallelFor(n, grain, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) ++visits[i];
        });
        EXPECT_EQ(visits, std::vector<int>(n, 1)) << threads << " threads, n " << n << ", grain " << grain;
      }
    }
  }
}

TEST(ParallelForTest, CutsTheSameEachTime) {
  const ThreadsForTest set(3);
  EXPECT_EQ(Chunks(10, 1), (std::vector<Range>{{0, 3}, {3, 6}, {6, 10}}));
  EXPECT_EQ(Chunks(10, 5), (std::vector<Range>{{0, 5}, {5, 10}})) << "no chunk below the grain";
  EXPECT_EQ(Chunks(10, 6), (std::vector<Range>{{0, 10}}));
  EXPECT_EQ(Chunks(2, 1), (std::vector<Range>{{0, 1}, {1, 2}}));
  EXPECT_EQ(Chunks(10, 0), Chunks(10, 1)) << "a grain is at least 1";
  const int64_t huge = int64_t(1) << 40;
  EXPECT_EQ(Chunks(huge, 1).back(), Range(huge * 2 / 3, huge));
}

TEST(ParallelForTest, NothingToDoCallsNothing) {
  bool called = false;
  for (int64_t n : {0, -5}) ParallelFor(n, 1, [&](int64_t, int64_t) { called = true; });
  EXPECT_FALSE(called);
  EXPECT_EQ(ParallelChunks(0, 1), 1) << "storage for a chunk is never none";
}

TEST(ParallelForTest, InnerLoopsRunOnTheirThread) {
  const ThreadsForTest set(2);
  std::atomic<int> inner_chunks{0};
  ParallelFor(2, 1, [&](int64_t, int64_t) {
    ParallelForChunks(100, 1, [&](int, int64_t, int64_t) { ++inner_chunks; });
  });
  EXPECT_EQ(inner_chunks, 2);
}

TEST(ParallelForTest, ThrowsTheFirstChunksErrorAfterAllHaveEnded) {
  const ThreadsForTest set(4);
  for (int repeat = 0; repeat < 20; ++repeat) {
    std::atomic<int> ended{0};
    std::string message;
    try {
      ParallelForChunks(4, 1, [&](int chunk, int64_t, int64_t) {
        ++ended;
        if (chunk >= 1) throw Error("chunk " + std::to_string(chunk));
      });
    } catch (const Error& error) {
      message = error.what();
    }
    EXPECT_EQ(message, "chunk 1");
    EXPECT_EQ(ended, 4);
  }
  EXPECT_THROW(ParallelFor(1, 1, [](int64_t, int64_t) { throw std::logic_error("alone"); }),
               std::logic_error);
}

// A child of fork() lacks the threads that its parent's loops ran on.
TEST(ParallelForTest, LoopsRunInAChildProcess) {
  const ThreadsForTest set(3);
  const auto sum = [] {
    std::atomic<int64_t> sum{0};
    ParallelFor(100, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) sum += i;
    });
    return sum.load();
  };
  EXPECT_EQ(sum(), 4950);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    alarm(20);
    _exit(sum() == 4950 ? 0 : 1);
  }
  int status;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(sum(), 4950);
}

TEST(ParallelForTest, ThreadsCanBeSet) {
  const ThreadsForTest set(5);
  EXPECT_EQ(ParallelThreads(), 5);
  EXPECT_THROW(SetParallelThreads(0), Error);
  EXPECT_EQ(ParallelThreads(), 5);
}

}  // namespace caffe
