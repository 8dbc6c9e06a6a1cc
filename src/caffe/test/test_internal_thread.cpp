#include "caffe/internal_thread.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_error_util.hpp"
#include "caffe/util/blocking_queue.hpp"
#include "caffe/util/math_functions.hpp"

namespace caffe {

namespace {

/// Runs a function in its worker; its errors fail `results`.
class Worker : public InternalThread {
 public:
  explicit Worker(std::function<void(Worker*)> work) : work_(std::move(work)) {}
  ~Worker() override { StopInternalThread(); }

  bool stopping() { return must_stop(); }
  BlockingQueue<int> results;

 protected:
  void InternalThreadEntry() override { work_(this); }
  void InternalThreadFailed(std::exception_ptr error) override { results.fail(error); }

 private:
  std::function<void(Worker*)> work_;
};

/// The first numbers of workers that are started after the seed was set.
vector<int> NumbersOfWorkers(unsigned int seed) {
  Caffe::set_random_seed(seed);
  vector<int> numbers;
  for (int i = 0; i < 2; ++i) {
    Worker worker([](Worker* self) { self->results.push(static_cast<int>(caffe_rng_rand() >> 1)); });
    worker.StartInternalThread();
    numbers.push_back(worker.results.pop());
  }
  return numbers;
}

}  // namespace

TEST(InternalThreadTest, StartsAndStops) {
  InternalThread thread;
  EXPECT_FALSE(thread.is_started());
  thread.StopInternalThread();
  thread.StartInternalThread();
  EXPECT_TRUE(thread.is_started());
  EXPECT_TRUE(Contains(ErrorOf([&] { thread.StartInternalThread(); }), "runs already"));
  thread.StopInternalThread();
  EXPECT_FALSE(thread.is_started());
  thread.StartInternalThread();
  EXPECT_TRUE(thread.is_started());
}

TEST(InternalThreadTest, TakesTheStateOfItsParent) {
  Caffe::set_solver_count(3);
  Caffe::set_solver_rank(2);
  Caffe::set_multiprocess(true);
  Worker worker([](Worker* self) {
    self->results.push(Caffe::solver_count());
    self->results.push(Caffe::solver_rank());
    self->results.push(Caffe::multiprocess());
    self->results.push(Caffe::mode());
  });
  worker.StartInternalThread();
  Caffe::set_solver_count(1);
  Caffe::set_solver_rank(0);
  Caffe::set_multiprocess(false);
  EXPECT_EQ(3, worker.results.pop());
  EXPECT_EQ(2, worker.results.pop());
  EXPECT_EQ(1, worker.results.pop());
  EXPECT_EQ(Caffe::mode(), worker.results.pop());
}

TEST(InternalThreadTest, RandomNumbersFollowTheSeedOfTheParent) {
  const vector<int> first = NumbersOfWorkers(1701);
  EXPECT_EQ(first, NumbersOfWorkers(1701));
  EXPECT_NE(first, NumbersOfWorkers(1702));
  EXPECT_NE(first[0], first[1]);
}

TEST(InternalThreadTest, StopEndsAWaitInAQueue) {
  for (const bool peek : {false, true}) {
    Worker worker([peek](Worker* self) {
      BlockingQueue<int> never;
      self->results.push(1);
      peek ? never.peek() : never.pop();
      self->results.push(2);
    });
    worker.StartInternalThread();
    EXPECT_EQ(1, worker.results.pop());
    worker.StopInternalThread();
    EXPECT_EQ(0u, worker.results.size());
  }
}

TEST(InternalThreadTest, StopEndsAWorkerThatIsBusy) {
  Worker worker([](Worker* self) {
    while (!self->stopping()) self->results.push(0);
  });
  worker.StartInternalThread();
  worker.results.pop();
  worker.StopInternalThread();
  EXPECT_TRUE(worker.stopping());
}

TEST(InternalThreadTest, StopRacesWithTheWait) {
  for (int i = 0; i < 200; ++i) {
    Worker worker([](Worker*) { BlockingQueue<int>().pop(); });
    worker.StartInternalThread();
  }
}

TEST(InternalThreadTest, ErrorsComeOutOfTheQueueAfterItsElements) {
  Worker worker([](Worker* self) {
    self->results.push(7);
    LOG(FATAL) << "record 8 is damaged";
  });
  worker.StartInternalThread();
  EXPECT_EQ(7, worker.results.pop());
  EXPECT_TRUE(Contains(ErrorOf([&] { worker.results.pop(); }), "record 8 is damaged"));
  EXPECT_TRUE(Contains(ErrorOf([&] { worker.results.peek(); }), "record 8 is damaged"));
}

TEST(InternalThreadTest, AnUnhandledErrorIsLoggedAndEndsTheWorkerOnly) {
  class Failing : public InternalThread {
   public:
    ~Failing() override { StopInternalThread(); }

   protected:
    void InternalThreadEntry() override { throw std::runtime_error("out of paper"); }
  };
  string logged;
  logging::SetSink([&](logging::Severity, const string&, const string& message) { logged += message; });
  {
    Failing failing;
    failing.StartInternalThread();
  }
  logging::SetSink(nullptr);
  EXPECT_TRUE(Contains(logged, "out of paper"));
}

TEST(BlockingQueueTest, KeepsTheOrder) {
  BlockingQueue<int> queue;
  int value = 0;
  EXPECT_FALSE(queue.try_pop(&value));
  EXPECT_FALSE(queue.try_peek(&value));
  for (int i = 1; i <= 3; ++i) queue.push(i);
  EXPECT_EQ(3u, queue.size());
  EXPECT_EQ(1, queue.peek());
  EXPECT_TRUE(queue.try_peek(&value));
  EXPECT_EQ(1, value);
  EXPECT_EQ(1, queue.pop());
  EXPECT_TRUE(queue.try_pop(&value));
  EXPECT_EQ(2, value);
  EXPECT_EQ(3, queue.pop("not logged"));
  EXPECT_EQ(0u, queue.size());
}

TEST(InternalThreadTest, AWorkerDoesNotChooseTheModeOfOtherThreads) {
  Caffe::set_mode(Caffe::CPU);
  std::thread([] { Caffe::set_mode(Caffe::GPU); }).join();
  Worker worker([](Worker* self) { self->results.push(Caffe::mode()); });
  worker.StartInternalThread();
  EXPECT_EQ(Caffe::CPU, worker.results.pop());
  Caffe::Brew of_next = Caffe::CPU;
  std::thread([&of_next] { of_next = Caffe::mode(); }).join();
  EXPECT_EQ(Caffe::GPU, of_next);
  Caffe::set_mode(Caffe::CPU);
}

// A child of fork() lacks its parent's worker, which it must neither wait for nor wake.
TEST(InternalThreadTest, IsLeftBehindByAFork) {
  BlockingQueue<int> orders;
  auto worker = std::make_unique<Worker>([&orders](Worker* self) {
    while (!self->stopping()) self->results.push(orders.pop());
  });
  worker->StartInternalThread();
  EXPECT_FALSE(worker->is_left_behind());
  orders.push(1);
  EXPECT_EQ(1, worker->results.pop());
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    alarm(20);
    const bool left_behind = worker->is_left_behind();
    worker->StopInternalThread();
    const bool stopped = !worker->is_started() && !worker->is_left_behind();
    worker.reset();
    _exit(left_behind && stopped ? 0 : 1);
  }
  int status;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  orders.push(2);
  EXPECT_EQ(2, worker->results.pop());
}

TEST(BlockingQueueTest, ClearsElementsAndErrors) {
  BlockingQueue<int> queue;
  queue.push(1);
  queue.fail(std::make_exception_ptr(Error("gone")));
  queue.clear();
  EXPECT_EQ(0u, queue.size());
  queue.push(2);
  EXPECT_EQ(2, queue.pop());
}

TEST(BlockingQueueTest, HandsElementsBetweenThreads) {
  BlockingQueue<int> to, from;
  std::thread echo([&] {
    for (int value = to.pop(); value >= 0; value = to.pop()) from.push(value);
  });
  for (int i = 0; i < 1000; ++i) to.push(i);
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(i, from.pop());
  to.push(-1);
  echo.join();
}

}  // namespace caffe
