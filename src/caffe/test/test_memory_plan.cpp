#include "caffe/lowbit/memory_plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

// Only of libhwgq and GoogleTest, so that scripts/test_neon.sh can build it for another processor.

namespace caffe {
namespace lowbit {

namespace {

bool OverlapInTime(const Lifetime& a, const Lifetime& b) { return a.first <= b.last && b.first <= a.last; }

void Check(const std::vector<Lifetime>& lifetimes, const MemoryPlan& plan) {
  ASSERT_EQ(plan.offsets.size(), lifetimes.size());
  for (size_t i = 0; i < lifetimes.size(); ++i) {
    EXPECT_EQ(plan.offsets[i] % 64, 0u);
    EXPECT_LE(plan.offsets[i] + lifetimes[i].bytes, plan.bytes);
    for (size_t j = 0; j < i; ++j) {
      if (!OverlapInTime(lifetimes[i], lifetimes[j])) continue;
      EXPECT_TRUE(plan.offsets[i] + lifetimes[i].bytes <= plan.offsets[j] ||
                  plan.offsets[j] + lifetimes[j].bytes <= plan.offsets[i])
          << i << " and " << j;
    }
  }
}

// What is needed at the stage that needs most.
size_t LeastBytes(const std::vector<Lifetime>& lifetimes, int stages) {
  size_t most = 0;
  for (int stage = 0; stage < stages; ++stage) {
    size_t bytes = 0;
    for (const Lifetime& lifetime : lifetimes) {
      if (lifetime.first <= stage && stage <= lifetime.last) bytes += (lifetime.bytes + 63) / 64 * 64;
    }
    most = std::max(most, bytes);
  }
  return most;
}

}  // namespace

TEST(MemoryPlanTest, NeverSharesWhatIsNeededAtTheSameTime) {
  std::mt19937 random(3);
  const auto draw = [&](int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(random);
  };
  for (int repeat = 0; repeat < 300; ++repeat) {
    SCOPED_TRACE("repeat " + std::to_string(repeat));
    const int stages = draw(1, 20);
    std::vector<Lifetime> lifetimes(draw(0, 40));
    for (Lifetime& lifetime : lifetimes) {
      lifetime.bytes = draw(0, 3) == 0 ? draw(0, 2) * 64 : draw(0, 2000);
      lifetime.first = draw(0, stages - 1);
      lifetime.last = draw(lifetime.first, stages - 1);
    }
    const MemoryPlan plan = PlanMemory(lifetimes);
    Check(lifetimes, plan);
    EXPECT_GE(plan.bytes, LeastBytes(lifetimes, stages));
  }
}

TEST(MemoryPlanTest, UsesMemoryAgain) {
  // A chain: each stage reads one tensor and writes the next.
  std::vector<Lifetime> lifetimes;
  for (int stage = 0; stage < 50; ++stage) lifetimes.push_back({6400, stage, stage + 1});
  EXPECT_EQ(PlanMemory(lifetimes).bytes, 2u * 6400);
}

TEST(MemoryPlanTest, FillsGaps) {
  // The first two lie side by side; the small ones fit where the second was.
  const std::vector<Lifetime> lifetimes = {{640, 0, 9}, {320, 0, 4}, {128, 5, 9}, {192, 5, 9}};
  const MemoryPlan plan = PlanMemory(lifetimes);
  Check(lifetimes, plan);
  EXPECT_EQ(plan.bytes, 960u);
}

TEST(MemoryPlanTest, NeedsNothingForNothing) {
  EXPECT_EQ(PlanMemory({}).bytes, 0u);
  EXPECT_EQ(PlanMemory({{0, 0, 1}}).bytes, 0u);
}

}  // namespace lowbit
}  // namespace caffe
