#include "caffe/common.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "caffe/test/test_error_util.hpp"
#include "caffe/util/format.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/rng.hpp"

namespace caffe {

namespace {

// The mode is put back after each test.
class CommonTest : public ::testing::Test {
 protected:
  CommonTest() : mode_(Caffe::mode()) {}
  ~CommonTest() override { Caffe::set_mode(mode_); }

 private:
  Caffe::Brew mode_;
};

std::vector<unsigned int> Draw(int count) {
  std::vector<unsigned int> drawn;
  for (int i = 0; i < count; ++i) drawn.push_back(caffe_rng_rand());
  return drawn;
}

}  // namespace

TEST_F(CommonTest, ModesAreSet) {
  Caffe::set_mode(Caffe::CPU);
  EXPECT_EQ(Caffe::mode(), Caffe::CPU);
  Caffe::set_mode(Caffe::GPU);
  EXPECT_EQ(Caffe::mode(), Caffe::GPU);
}

TEST_F(CommonTest, NewThreadsStartInTheModeSetLast) {
  Caffe::set_mode(Caffe::GPU);
  Caffe::Brew theirs = Caffe::CPU;
  std::thread([&] { theirs = Caffe::mode(); }).join();
  EXPECT_EQ(theirs, Caffe::GPU);
  std::thread([] { Caffe::set_mode(Caffe::CPU); }).join();
  EXPECT_EQ(Caffe::mode(), Caffe::GPU) << "a thread's mode is its own";
}

TEST_F(CommonTest, PlaceInParallelTrainingIsTheThreads) {
  EXPECT_EQ(Caffe::solver_count(), 1);
  EXPECT_TRUE(Caffe::root_solver());
  std::thread([] {
    Caffe::set_solver_count(4);
    Caffe::set_solver_rank(3);
    Caffe::set_multiprocess(true);
    EXPECT_EQ(Caffe::solver_count(), 4);
    EXPECT_EQ(Caffe::solver_rank(), 3);
    EXPECT_TRUE(Caffe::multiprocess());
    EXPECT_FALSE(Caffe::root_solver());
  }).join();
  EXPECT_EQ(Caffe::solver_count(), 1);
  EXPECT_EQ(Caffe::solver_rank(), 0);
  EXPECT_FALSE(Caffe::multiprocess());
}

TEST_F(CommonTest, ASeedRepeatsTheNumbers) {
  Caffe::set_random_seed(1701);
  const std::vector<unsigned int> first = Draw(20);
  EXPECT_NE(Draw(20), first) << "they go on";
  Caffe::set_random_seed(1701);
  EXPECT_EQ(Draw(20), first);
  Caffe::set_random_seed(1702);
  EXPECT_NE(Draw(20), first);
  Caffe::set_random_seed(1);
  EXPECT_EQ(caffe_rng_rand(), 1791095845u) << "the generator of C++'s mt19937, on every machine";
}

TEST_F(CommonTest, CopiesOfAGeneratorDrawFromOne) {
  Caffe::RNG generator(5);
  Caffe::RNG copy(generator);
  rng_t expected(5);
  EXPECT_EQ((*static_cast<rng_t*>(generator.generator()))(), expected());
  EXPECT_EQ((*static_cast<rng_t*>(copy.generator()))(), expected());
}

TEST_F(CommonTest, ShufflesRepeatably) {
  std::vector<int> items(10);
  std::iota(items.begin(), items.end(), 0);
  std::vector<int> again = items;
  Caffe::set_random_seed(3);
  shuffle(items.begin(), items.end());
  Caffe::set_random_seed(3);
  shuffle(again.begin(), again.end());
  EXPECT_EQ(items, again);
  EXPECT_FALSE(std::is_sorted(items.begin(), items.end()));
  std::sort(items.begin(), items.end());
  for (int i = 0; i < 10; ++i) EXPECT_EQ(items[i], i) << "a permutation";
}

TEST_F(CommonTest, GlobalInitTakesFlagsOut) {
  const int before = logging::MinSeverity();
  char program[] = "caffe", level[] = "--minloglevel=2", log[] = "-logtostderr=1", train[] = "train";
  char* arguments[] = {program, level, train, log};
  char** argv = arguments;
  int argc = 4;
  GlobalInit(&argc, &argv);
  EXPECT_EQ(logging::MinSeverity(), 2);
  logging::SetMinSeverity(before);
  ASSERT_EQ(argc, 2);
  EXPECT_STREQ(argv[1], "train");
}

TEST_F(CommonTest, FormatsNumbersWithLeadingZeros) {
  EXPECT_EQ(format_int(7), "7");
  EXPECT_EQ(format_int(7, 3), "007");
  EXPECT_EQ(format_int(1234, 3), "1234");
}

#ifdef CPU_ONLY

TEST_F(CommonTest, WithoutAGpuDevicesAreErrorsThatSaySo) {
  EXPECT_TRUE(Contains(ErrorOf([] { Caffe::SetDevice(0); }), "built without CUDA"));
  EXPECT_TRUE(Contains(ErrorOf([] { Caffe::DeviceQuery(); }), "built without CUDA"));
  EXPECT_FALSE(Caffe::CheckDevice(0));
  EXPECT_EQ(Caffe::FindDevice(), -1);
}

#endif  // CPU_ONLY

}  // namespace caffe
