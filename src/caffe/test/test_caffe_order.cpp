#include "caffe/lowbit/caffe_order.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

// Only of libhwgq and GoogleTest, so that scripts/test_neon.sh can build it for another processor.

namespace caffe {
namespace lowbit {

TEST(CaffeOrderTest, GoesThereAndBack) {
  constexpr int kImages = 2;
  for (const int channels : {1, 2, 3, 7}) {
    for (const int width : {1, 5, 61, 320}) {
      const TensorInfo tensor = {"t", TensorKind::kReal, channels, width == 1 ? 1 : 47, width};
      std::vector<float> x(kImages * tensor.elements());
      std::iota(x.begin(), x.end(), 0.f);
      for (const int threads : {1, 3}) {
        SCOPED_TRACE(std::to_string(channels) + " channels, width " + std::to_string(width) + ", " +
                     std::to_string(threads) + " threads");
        std::vector<float> y(x.size(), -1), back(x.size(), -1);
        FromCaffe(tensor, x.data(), kImages, threads, y.data());
        for (int64_t i = 0; i < static_cast<int64_t>(y.size()); ++i) {
          const int64_t image = i / tensor.elements(), pixel = i % tensor.elements() / channels;
          ASSERT_EQ(y[i], x[(image * channels + i % channels) * tensor.pixels() + pixel]) << "element " << i;
        }
        ToCaffe(tensor, y.data(), kImages, back.data());
        EXPECT_EQ(back, x);
      }
    }
  }
}

}  // namespace lowbit
}  // namespace caffe
