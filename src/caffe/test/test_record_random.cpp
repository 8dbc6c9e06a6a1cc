#include "caffe/util/record_random.hpp"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace caffe {

TEST(RecordRandomTest, NumbersBelongToSeedPurposeAndRecord) {
  EXPECT_EQ(RecordRandom(1, RecordRandom::ORDER, 5)(), RecordRandom(1, RecordRandom::ORDER, 5)());
  std::set<uint64_t> seen;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    for (const auto purpose : {RecordRandom::START, RecordRandom::ORDER, RecordRandom::TRANSFORM}) {
      for (uint64_t record = 0; record < 50; ++record) {
        RecordRandom random(seed, purpose, record);
        for (int i = 0; i < 4; ++i) seen.insert(random());
      }
    }
  }
  EXPECT_EQ(10u * 3 * 50 * 4, seen.size());
}

TEST(RecordRandomTest, NeighborsAreSpreadEvenly) {
  std::vector<int> counts(6);
  for (uint64_t record = 0; record < 6000; ++record) {
    RecordRandom random(7, RecordRandom::TRANSFORM, record);
    const int64_t mirror = random.Below(2), row = random.Below(3);
    ++counts[mirror * 3 + row];
  }
  // 1000 each; the standard deviation is 29.
  for (const int count : counts) EXPECT_NEAR(1000, count, 150);
}

}  // namespace caffe
