#include "caffe/util/int_divisor.hpp"

#include <gtest/gtest.h>

#include <climits>
#include <cstdint>
#include <random>
#include <vector>

namespace caffe {

TEST(IntDivisorTest, DividesAsTheProcessor) {
  std::vector<int> numbers = {0, 1, 2, 3, 5, 7, 640, 641, (1 << 24) + 1, INT_MAX - 1, INT_MAX};
  for (int shift = 2; shift < 31; ++shift) {
    for (int near = -1; near <= 1; ++near) numbers.push_back((1 << shift) + near);
  }
  std::mt19937 random(1701);
  for (int i = 0; i < 300; ++i) numbers.push_back(static_cast<int>(random() >> (1 + i % 31)));
  for (const int divisor : numbers) {
    if (divisor == 0) continue;
    const IntDivisor fast(divisor);
    for (const int n : numbers) {
      ASSERT_EQ(fast.Quotient(n), n / divisor) << n << " / " << divisor;
      // Multiples and their neighbours are where a rounded multiplier would fail first.
      const int multiple = n / divisor * divisor;
      ASSERT_EQ(fast.Quotient(multiple), multiple / divisor) << multiple << " / " << divisor;
      if (multiple > 0) {
        ASSERT_EQ(fast.Quotient(multiple - 1), (multiple - 1) / divisor) << multiple - 1 << " / " << divisor;
      }
      int quotient = n;
      ASSERT_EQ(fast.Split(&quotient), n % divisor);
      ASSERT_EQ(quotient, n / divisor);
    }
  }
}

}  // namespace caffe
