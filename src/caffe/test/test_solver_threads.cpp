#include "caffe/util/solver_threads.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_error_util.hpp"
#include "caffe/util/blocking_queue.hpp"
#include "log_capture.hpp"

namespace caffe {

class SolverThreadsTest : public ::testing::Test {
 protected:
  LogCapture log_;
};

TEST_F(SolverThreadsTest, ABarrierHoldsThreadsTimeAfterTime) {
  constexpr int kThreads = 3, kRounds = 200;
  Barrier barrier(kThreads);
  std::atomic<int> arrived{0};
  std::atomic<bool> in_step{true};
  vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int round = 1; round <= kRounds; ++round) {
        ++arrived;
        barrier.Wait();
        if (arrived < round * kThreads) in_step = false;
        barrier.Wait();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(in_step);
}

TEST_F(SolverThreadsTest, ABarrierForgetsWhoIsStopped) {
  Barrier barrier(2);
  ThreadStop stop;
  std::thread stopped([&] {
    ThreadStop::SetCurrent(&stop);
    EXPECT_THROW(barrier.Wait(), ThreadInterrupted);
    EXPECT_THROW(ThreadStop::ThrowIfRequested(), ThreadInterrupted);
  });
  stop.Request();
  stopped.join();
  // Two are needed as before.
  std::thread other([&] { barrier.Wait(); });
  barrier.Wait();
  other.join();
}

TEST_F(SolverThreadsTest, AClosedBarrierHoldsNobody) {
  Barrier barrier(3);
  std::thread waiting([&] { EXPECT_THROW(barrier.Wait(), ThreadInterrupted); });
  barrier.Close();
  waiting.join();
  EXPECT_THROW(barrier.Wait(), ThreadInterrupted);
}

TEST_F(SolverThreadsTest, EachThreadHasItsRank) {
  Caffe::set_solver_count(4);
  SolverThreads threads(4);
  std::mutex mutex;
  std::set<int> ranks;
  std::set<std::thread::id> ids;
  threads.Run([&](int rank) {
    const std::lock_guard<std::mutex> lock(mutex);
    EXPECT_EQ(rank, Caffe::solver_rank());
    EXPECT_EQ(4, Caffe::solver_count());
    EXPECT_EQ(rank == 0, Caffe::root_solver());
    if (rank == 0) ids.insert(std::this_thread::get_id());
    ranks.insert(rank);
  });
  Caffe::set_solver_count(1);
  EXPECT_EQ((std::set<int>{0, 1, 2, 3}), ranks);
  EXPECT_EQ(1u, ids.count(std::this_thread::get_id())) << "rank 0 is the caller";
}

TEST_F(SolverThreadsTest, TheFirstErrorEndsAllWaitsAndIsThrown) {
  for (int failing : {0, 1, 2}) {
    SolverThreads threads(3);
    BlockingQueue<int> never_filled;
    std::atomic<int> interrupted{0};
    const string error = ErrorOf([&] {
      threads.Run([&](int rank) {
        threads.Wait();
        if (rank == failing) throw Error("out of luck");
        try {
          // One waits for the others, one for data.
          if (rank == (failing + 1) % 3) {
            threads.Wait();
          } else {
            never_filled.pop();
          }
        } catch (const ThreadInterrupted&) {
          EXPECT_TRUE(threads.failed());
          ++interrupted;
          throw;
        }
      });
    });
    EXPECT_EQ("out of luck", error);
    EXPECT_EQ(2, interrupted);
  }
  EXPECT_EQ(1, log_.Count("Solver 1 failed: out of luck"));
  EXPECT_EQ(1, log_.Count("Solver 2 failed: out of luck"));
  EXPECT_EQ(0, log_.Count("Solver 0 failed")) << "the caller gets it anyway";
  // The calling thread has no stop left over.
  ThreadStop::ThrowIfRequested();
}

TEST_F(SolverThreadsTest, ErrorsOfOtherTypesStayWhatTheyAre) {
  SolverThreads threads(2);
  EXPECT_THROW(threads.Run([&](int rank) {
    if (rank == 1) throw std::out_of_range("7");
    threads.Wait();
  }),
               std::out_of_range);
}

TEST_F(SolverThreadsTest, TheOthersEndWithTheFirst) {
  SolverThreads threads(3);
  std::atomic<int> rounds{0};
  threads.Run([&](int rank) {
    for (int i = 0; rank > 0 || i < 5; ++i) {
      threads.Wait();
      ++rounds;
    }
  });
  EXPECT_EQ(3 * 5, rounds);
  EXPECT_FALSE(threads.failed());
}

TEST_F(SolverThreadsTest, OneThreadIsTheCaller) {
  SolverThreads threads(1);
  int calls = 0;
  threads.Run([&](int) {
    threads.Wait();
    ++calls;
  });
  EXPECT_EQ(1, calls);
}

}  // namespace caffe
