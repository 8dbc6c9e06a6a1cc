#include "caffe/util/signal_handler.h"

#include <gtest/gtest.h>
#include <signal.h>

#include "caffe/test/test_error_util.hpp"

namespace caffe {

namespace {

int earlier_handler_calls = 0;

void EarlierHandler(int) { ++earlier_handler_calls; }

// Installs EarlierHandler for the signals, and what was there before at the end.
class SignalHandlerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    earlier_handler_calls = 0;
    struct sigaction action = {};
    action.sa_handler = EarlierHandler;
    sigaction(SIGINT, &action, &sigint_before_);
    sigaction(SIGHUP, &action, &sighup_before_);
  }
  void TearDown() override {
    sigaction(SIGINT, &sigint_before_, nullptr);
    sigaction(SIGHUP, &sighup_before_, nullptr);
  }

 private:
  struct sigaction sigint_before_;
  struct sigaction sighup_before_;
};

}  // namespace

TEST_F(SignalHandlerTest, AnswersEachSignalOnceWithItsAction) {
  SignalHandler handler(SolverAction::STOP, SolverAction::SNAPSHOT);
  const ActionCallback action = handler.GetActionFunction();
  EXPECT_EQ(action(), SolverAction::NONE);
  raise(SIGINT);
  EXPECT_EQ(action(), SolverAction::STOP);
  EXPECT_EQ(action(), SolverAction::NONE);
  raise(SIGHUP);
  raise(SIGHUP);
  EXPECT_EQ(action(), SolverAction::SNAPSHOT);
  EXPECT_EQ(action(), SolverAction::NONE);
  EXPECT_EQ(earlier_handler_calls, 0);
}

TEST_F(SignalHandlerTest, TakesTheSignalsOfMpirun) {
  struct sigaction before[3];
  const int numbers[] = {SIGTERM, SIGUSR1, SIGUSR2};
  struct sigaction ignored = {};
  ignored.sa_handler = SIG_IGN;
  for (int i = 0; i < 3; ++i) sigaction(numbers[i], &ignored, &before[i]);
  for (const bool is_under_mpirun : {true, false}) {
    SignalHandler handler(SolverAction::STOP, SolverAction::SNAPSHOT, is_under_mpirun);
    const ActionCallback action = handler.GetActionFunction();
    const SolverAction::Enum expected[] = {SolverAction::STOP, SolverAction::STOP, SolverAction::SNAPSHOT};
    for (int i = 0; i < 3; ++i) {
      raise(numbers[i]);
      EXPECT_EQ(action(), is_under_mpirun ? expected[i] : SolverAction::NONE);
    }
  }
  for (int i = 0; i < 3; ++i) {
    struct sigaction after;
    sigaction(numbers[i], &before[i], &after);
    EXPECT_EQ(after.sa_handler, SIG_IGN);
  }
}

TEST_F(SignalHandlerTest, TheSnapshotComesBeforeTheStop) {
  SignalHandler handler(SolverAction::STOP, SolverAction::SNAPSHOT);
  const ActionCallback action = handler.GetActionFunction();
  raise(SIGINT);
  raise(SIGHUP);
  EXPECT_EQ(action(), SolverAction::SNAPSHOT);
  EXPECT_EQ(action(), SolverAction::STOP);
  EXPECT_EQ(action(), SolverAction::NONE);
}

TEST_F(SignalHandlerTest, ActionsAreTheCallers) {
  SignalHandler handler(SolverAction::NONE, SolverAction::STOP);
  const ActionCallback action = handler.GetActionFunction();
  raise(SIGINT);
  EXPECT_EQ(action(), SolverAction::NONE);
  raise(SIGHUP);
  EXPECT_EQ(action(), SolverAction::STOP);
}

TEST_F(SignalHandlerTest, TheEarlierHandlersComeBack) {
  { SignalHandler handler(SolverAction::STOP, SolverAction::STOP); }
  raise(SIGINT);
  raise(SIGHUP);
  EXPECT_EQ(earlier_handler_calls, 2);
}

TEST_F(SignalHandlerTest, AProcessHasOne) {
  {
    SignalHandler handler(SolverAction::STOP, SolverAction::SNAPSHOT);
    EXPECT_TRUE(Contains(ErrorOf([] { SignalHandler second(SolverAction::STOP, SolverAction::STOP); }),
                         "another SignalHandler"));
    raise(SIGINT);
    EXPECT_EQ(handler.GetActionFunction()(), SolverAction::STOP) << "the first goes on";
  }
  SignalHandler next(SolverAction::STOP, SolverAction::SNAPSHOT);
  EXPECT_EQ(next.GetActionFunction()(), SolverAction::NONE);
}

}  // namespace caffe
