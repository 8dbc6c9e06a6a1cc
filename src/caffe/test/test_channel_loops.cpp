#include "caffe/util/channel_loops.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace caffe {

template <typename Dtype>
class ChannelLoopsTest : public ::testing::Test {};
using Floats = ::testing::Types<float, double>;
TYPED_TEST_SUITE(ChannelLoopsTest, Floats);

// Conditional sums are what a compiler once got wrong for one processor generation.
TYPED_TEST(ChannelLoopsTest, ConditionalSumsOfEveryLength) {
  for (int inner = 1; inner < 70; ++inner) {
    const ChannelExtent extent = {2, 3, inner};
    std::vector<TypeParam> x(6 * inner), y(6 * inner), sums(3, 1);
    std::vector<double> expected(3, 1);
    for (int i = 0; i < 6 * inner; ++i) {
      x[i] = static_cast<TypeParam>((i * 37 % 101) / 25.0 - 2);
      y[i] = static_cast<TypeParam>((i * 53 % 97) / 24.0 - 2);
      if (x[i] <= 0) expected[i / inner % 3] += static_cast<double>(x[i]) * y[i];
    }
    const TypeParam *px = x.data(), *py = y.data();
    AddChannelSums(
        extent, 0, 3,
        [px, py](int) { return [px, py](int64_t i) { return px[i] > 0 ? TypeParam(0) : px[i] * py[i]; }; },
        sums.data());
    for (int c = 0; c < 3; ++c) ASSERT_NEAR(sums[c], expected[c], 1e-3) << "inner " << inner;
  }
}

TYPED_TEST(ChannelLoopsTest, RangesTouchOnlyTheirChannels) {
  const ChannelExtent extent = {2, 4, 5};
  std::vector<TypeParam> to(40, -1), sums(4, 0);
  MapChannels(
      extent, 1, 3, [](int c) { return [c](int64_t i) { return static_cast<TypeParam>(100 * c + i); }; },
      to.data());
  AddChannelSums(extent, 1, 3, [](int) { return [](int64_t) { return TypeParam(1); }; }, sums.data());
  for (int i = 0; i < 40; ++i) {
    const int c = i / 5 % 4;
    EXPECT_EQ(to[i], c == 1 || c == 2 ? 100 * c + i : -1);
  }
  EXPECT_EQ(sums, (std::vector<TypeParam>{0, 10, 10, 0}));
}

TEST(ForChannelsTest, RunsOverEachChannelOnce) {
  for (const ChannelExtent& extent : {ChannelExtent{64, 5, 4096}, ChannelExtent{3, 1000, 1},
                                      ChannelExtent{2, 7, 33}, ChannelExtent{0, 4, 3}}) {
    std::vector<int> runs(extent.channels, 0);
    ForChannels(extent, [&](int first, int last) {
      for (int c = first; c < last; ++c) ++runs[c];
    });
    EXPECT_EQ(runs, std::vector<int>(extent.channels, 1));
  }
}

}  // namespace caffe
