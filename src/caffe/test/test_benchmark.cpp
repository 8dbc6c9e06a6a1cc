#include "caffe/util/benchmark.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "caffe/test/test_caffe_main.hpp"
#include "net_test_util.hpp"

namespace caffe {

template <typename TypeParam>
class BenchmarkTest : public MultiDeviceTest<TypeParam> {};

TYPED_TEST_SUITE(BenchmarkTest, TestDtypesAndDevices);

TYPED_TEST(BenchmarkTest, KnowsItsState) {
  Timer timer;
  EXPECT_TRUE(timer.initted());
  EXPECT_FALSE(timer.running());
  EXPECT_FALSE(timer.has_run_at_least_once());
  timer.Start();
  EXPECT_TRUE(timer.running());
  EXPECT_TRUE(timer.has_run_at_least_once());
  timer.Stop();
  EXPECT_FALSE(timer.running());
  timer.Stop();
  timer.Start();
  timer.MilliSeconds();
  EXPECT_FALSE(timer.running()) << "reading stops";
}

TYPED_TEST(BenchmarkTest, OneThatNeverRanReadsZeroWithAWarning) {
  LogCapture log;
  Timer timer;
  EXPECT_EQ(timer.MilliSeconds(), 0);
  EXPECT_EQ(timer.MicroSeconds(), 0);
  EXPECT_EQ(timer.Seconds(), 0);
  EXPECT_EQ(log.Warnings(), 3);
}

TYPED_TEST(BenchmarkTest, UnitsAgreeAndTheTimeOfTheStartCounts) {
  CPUTimer timer;
  const auto start = std::chrono::steady_clock::now();
  timer.Start();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  timer.Start();  // Nothing: it runs.
  timer.Stop();
  const std::chrono::duration<float, std::milli> outside = std::chrono::steady_clock::now() - start;
  // As long as the sleep, and no longer than the clock around it.
  const float milliseconds = timer.MilliSeconds();
  EXPECT_GE(milliseconds, 20);
  EXPECT_LE(milliseconds, outside.count());
  EXPECT_EQ(timer.MilliSeconds(), milliseconds) << "reading changes nothing";
  EXPECT_FLOAT_EQ(timer.MicroSeconds(), milliseconds * 1000);
  EXPECT_FLOAT_EQ(timer.Seconds(), milliseconds / 1000);
}

}  // namespace caffe
