#include "caffe/util/pool_window.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

namespace caffe {

TEST(PoolCoverTest, FindsTheWindowsThatSeeAnElement) {
  constexpr int kSize = 11;
  for (int kernel = 1; kernel <= 5; ++kernel) {
    for (int stride = 1; stride <= 4; ++stride) {
      for (int pad = 0; pad < kernel; ++pad) {
        for (int pooled = 1; pooled <= 14; ++pooled) {
          const PoolGeometry geometry = {kSize, 1, pooled, 1, kernel, 1, stride, 1, pad, 0};
          const PoolCover cover = {IntDivisor(stride), kernel, pad, pooled};
          for (int h = 0; h < kSize; ++h) {
            const PoolRange range = cover(h);
            for (int window = 0; window < pooled; ++window) {
              const PoolWindow rows = geometry.window(window, 0);
              EXPECT_EQ(h >= rows.h_begin && h < rows.h_end, window >= range.begin && window < range.end)
                  << "kernel " << kernel << " stride " << stride << " pad " << pad << ": element " << h
                  << ", window " << window << " of " << pooled;
            }
          }
        }
      }
    }
  }
}

TEST(PoolMaxTest, TakesTheFirstOfEqualsAndTheFirstNaN) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float channel[] = {1, 3, 3, 0, nan, nan};
  const auto place = [&](int begin, int end) {
    return MaxOfWindow(channel, PoolWindow{0, 1, begin, end, 6, end - begin}).place;
  };
  EXPECT_EQ(place(0, 4), 1);
  EXPECT_EQ(place(0, 6), 4);
  EXPECT_EQ(place(3, 3), -1);
}

// By columns in any order it is the same as row by row.
TEST(PoolWindowTest, TakesTheLargestOfColumnsInAnyOrder) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::mt19937 random(3);
  for (int i = 0; i < 2000; ++i) {
    const int rows = 1 + random() % 4, width = 1 + random() % 4;
    std::vector<float> channel(rows * width);
    // Few values, so that many are equal.
    for (float& value : channel) value = random() % 8 == 0 ? nan : static_cast<float>(random() % 3) - 1;
    std::vector<int> columns(width);
    std::iota(columns.begin(), columns.end(), 0);
    std::shuffle(columns.begin(), columns.end(), random);
    PoolMax<float> max = {0, -1};
    for (const int column : columns) {
      PoolMax<float> of_column = {0, -1};
      for (int at = column; at < rows * width; at += width) of_column.Take(channel[at], at);
      max.TakeLargest(of_column.largest, of_column.place);
    }
    EXPECT_EQ(max.place,
              MaxOfWindow(channel.data(), PoolWindow{0, rows, 0, width, width, rows * width}).place);
  }
}

}  // namespace caffe
