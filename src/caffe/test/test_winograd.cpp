// Gradients of convolutions of 3x3 and 5x5 by Winograd's filtering, held against sums of products in double.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "caffe/util/onednn_library.hpp"
#include "caffe/util/winograd.hpp"
#include "layer_test_util.hpp"

namespace caffe {

namespace {

struct Gradients {
  vector<double> weights, input;
};

class WinogradTest : public ::testing::Test {
 protected:
  void Fill(vector<float>* values) {
    std::normal_distribution<float> normal;
    for (float& value : *values) value = normal(random_);
  }

  void Make(const WinogradShape& shape) {
    const size_t in = static_cast<size_t>(shape.num) * shape.in_channels * shape.height * shape.width;
    input_.resize(in);
    output_diff_.resize(static_cast<size_t>(shape.num) * shape.out_channels * shape.out_height() *
                        shape.out_width());
    weights_.resize(static_cast<size_t>(shape.out_channels) * shape.in_channels * shape.kernel *
                    shape.kernel);
    for (vector<float>* values : {&input_, &output_diff_, &weights_}) Fill(values);
  }

  // The gradient by the weights is added to 1 everywhere.
  Gradients Reference(const WinogradShape& shape) const {
    Gradients made = {vector<double>(weights_.size(), 1), vector<double>(input_.size())};
    size_t output = 0;
    for (int n = 0; n < shape.num; ++n) {
      for (int o = 0; o < shape.out_channels; ++o) {
        for (int y = 0; y < shape.out_height(); ++y) {
          for (int x = 0; x < shape.out_width(); ++x) {
            const double gradient = output_diff_[output++];
            for (int c = 0; c < shape.in_channels; ++c) {
              for (int k = 0; k < shape.kernel * shape.kernel; ++k) {
                const int in_y = y - shape.pad_h + k / shape.kernel;
                const int in_x = x - shape.pad_w + k % shape.kernel;
                if (in_y < 0 || in_y >= shape.height || in_x < 0 || in_x >= shape.width) continue;
                const size_t in =
                    ((static_cast<size_t>(n) * shape.in_channels + c) * shape.height + in_y) * shape.width +
                    in_x;
                const size_t weight =
                    (static_cast<size_t>(o) * shape.in_channels + c) * shape.kernel * shape.kernel + k;
                made.weights[weight] += gradient * input_[in];
                made.input[in] += gradient * weights_[weight];
              }
            }
          }
        }
      }
    }
    return made;
  }

  static void ExpectClose(const vector<float>& values, const vector<double>& expected,
                          double tolerance = 5e-6) {
    ASSERT_EQ(values.size(), expected.size());
    double error = 0, size = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      error += std::pow(values[i] - expected[i], 2);
      size += expected[i] * expected[i];
    }
    EXPECT_LE(std::sqrt(error), tolerance * std::sqrt(size));
  }

  void ExpectGradients(const WinogradShape& shape, const Gradients& expected,
                       Precision precision = Precision::kFloat, double tolerance = 5e-6) {
    vector<float> weight_diff(weights_.size(), 1.f), input_diff(input_.size(), NAN);
    WinogradBackward(shape, input_.data(), output_diff_.data(), weights_.data(), weight_diff.data(),
                     input_diff.data(), precision);
    ExpectClose(weight_diff, expected.weights, tolerance);
    ExpectClose(input_diff, expected.input, tolerance);
  }

  std::mt19937 random_{17};
  vector<float> input_, output_diff_, weights_;
};

}  // namespace

TEST_F(WinogradTest, IsTheSumOfProducts) {
  // Whole tiles and parts of them, whole lanes and parts, wide and narrow, with and without padding.
  const vector<WinogradShape> shapes = {
      {2, 16, 16, 8, 8, 1, 1, 3},
      {3, 20, 37, 7, 9, 1, 1, 3},
      {2, 33, 16, 5, 13, 0, 0, 3},
      {1, 16, 16, 3, 3, 0, 0, 3},
      {2, 16, 32, 14, 14, 2, 2, 3},
      {1, 1, 1, 4, 4, 1, 1, 3},
      {4, 5, 3, 3, 17, 0, 2, 3},
      {5, 17, 31, 1, 1, 1, 1, 3},
      {1, 48, 64, 6, 5, 1, 0, 3},
      {70, 16, 16, 8, 8, 1, 1, 3},
      {2, 32, 32, 65, 40, 1, 1, 3},
      // More channels than are computed at a time, and a number of them that is no whole number of lanes.
      {12, 300, 520, 6, 7, 1, 1, 3},
      // 5x5: as above.
      {2, 16, 16, 12, 12, 2, 2, 5},
      {3, 20, 50, 12, 12, 0, 0, 5},
      {2, 17, 33, 5, 9, 0, 0, 5},
      {1, 5, 3, 5, 5, 1, 2, 5},
      {40, 32, 16, 7, 6, 2, 1, 5},
      {3, 300, 520, 6, 7, 2, 2, 5}};
  for (const WinogradShape& shape : shapes) {
    Make(shape);
    const Gradients expected = Reference(shape);
    for (const int threads : {1, 2, 5}) {
      SCOPED_TRACE("num " + std::to_string(shape.num) + ", channels " + std::to_string(shape.in_channels) +
                   " and " + std::to_string(shape.out_channels) + ", height " + std::to_string(shape.height) +
                   ", width " + std::to_string(shape.width) + ", kernel " + std::to_string(shape.kernel) +
                   ", threads " + std::to_string(threads));
      const ThreadsForTest some(threads);
      ExpectGradients(shape, expected);
    }
  }
}

TEST_F(WinogradTest, IsTheSumOfProductsForRandomShapes) {
  const auto draw = [this](int least, int most) {
    return least + static_cast<int>(random_() % static_cast<unsigned>(most - least + 1));
  };
  for (int i = 0; i < 60; ++i) {
    WinogradShape shape = {draw(1, 5),  draw(1, 40), draw(1, 40), draw(3, 19),
                           draw(3, 19), draw(0, 2),  draw(0, 2),  3};
    if (i % 2 == 1) {
      shape.kernel = 5;
      shape.height += 2;
      shape.width += 2;
    }
    SCOPED_TRACE("shape " + std::to_string(i));
    Make(shape);
    const ThreadsForTest some(draw(1, 4));
    ExpectGradients(shape, Reference(shape));
  }
}

TEST_F(WinogradTest, RoundsToBF16) {
  const uint16_t one = 0x3f80;
  float product;
  if (!GetOneDnn() || !GetOneDnn()->bf16_gemm(false, 1, 1, 1, &one, 1, &one, 1, false, &product, 1)) {
    GTEST_SKIP() << "oneDNN multiplies no BF16 on this processor, or this build is without it";
  }
  EXPECT_EQ(product, 1.f);
  const vector<WinogradShape> shapes = {{2, 16, 16, 8, 8, 1, 1, 3},
                                        {3, 20, 37, 7, 9, 1, 1, 3},
                                        {2, 33, 16, 5, 13, 0, 0, 3},
                                        {40, 48, 64, 6, 5, 1, 0, 3},
                                        {3, 20, 50, 12, 12, 0, 0, 5}};
  for (const WinogradShape& shape : shapes) {
    Make(shape);
    const Gradients expected = Reference(shape);
    for (const int threads : {1, 3}) {
      SCOPED_TRACE("channels " + std::to_string(shape.in_channels) + ", threads " + std::to_string(threads));
      const ThreadsForTest some(threads);
      ExpectGradients(shape, expected, Precision::kBF16, shape.kernel == 3 ? 3e-2 : 5e-2);
      vector<float> in_floats(weights_.size(), 1.f), in_bf16(weights_.size(), 1.f);
      for (const Precision precision : {Precision::kFloat, Precision::kBF16}) {
        WinogradBackward(shape, input_.data(), output_diff_.data(), nullptr,
                         (precision == Precision::kFloat ? in_floats : in_bf16).data(), nullptr, precision);
      }
      EXPECT_NE(in_floats, in_bf16);
    }
  }
  // What is no number stays so.
  const WinogradShape shape = shapes[0];
  Make(shape);
  output_diff_[0] = NAN;
  vector<float> input_diff(input_.size());
  WinogradBackward(shape, nullptr, output_diff_.data(), weights_.data(), nullptr, input_diff.data(),
                   Precision::kBF16);
  EXPECT_TRUE(std::isnan(input_diff[0]));
}

TEST_F(WinogradTest, ComputesWhatIsWanted) {
  const WinogradShape shape = {3, 18, 22, 9, 10, 1, 1, 3};
  Make(shape);
  const Gradients expected = Reference(shape);
  vector<float> weight_diff(weights_.size(), 1.f), input_diff(input_.size(), NAN);
  WinogradBackward(shape, input_.data(), output_diff_.data(), nullptr, weight_diff.data(), nullptr,
                   Precision::kFloat);
  ExpectClose(weight_diff, expected.weights);
  WinogradBackward(shape, nullptr, output_diff_.data(), weights_.data(), nullptr, input_diff.data(),
                   Precision::kFloat);
  ExpectClose(input_diff, expected.input);
  WinogradBackward(shape, nullptr, output_diff_.data(), nullptr, nullptr, nullptr, Precision::kFloat);
}

TEST_F(WinogradTest, IsTheSameFromRunToRun) {
  const ThreadsForTest threads(3);
  const WinogradShape shape = {40, 32, 48, 13, 13, 1, 1, 3};
  Make(shape);
  vector<float> first_weights, first_input;
  for (int run = 0; run < 3; ++run) {
    vector<float> weight_diff(weights_.size()), input_diff(input_.size());
    WinogradBackward(shape, input_.data(), output_diff_.data(), weights_.data(), weight_diff.data(),
                     input_diff.data(), Precision::kFloat);
    if (run == 0) {
      first_weights = weight_diff;
      first_input = input_diff;
    }
    EXPECT_EQ(weight_diff, first_weights);
    EXPECT_EQ(input_diff, first_input);
  }
}

TEST_F(WinogradTest, IsLeftOutWhereItCannotPay) {
  EXPECT_TRUE(IsWinogradWorthwhile({32, 64, 64, 56, 56, 1, 1, 3}, Precision::kFloat));
  EXPECT_TRUE(IsWinogradWorthwhile({32, 512, 512, 7, 7, 1, 1, 3}, Precision::kFloat));
  EXPECT_TRUE(IsWinogradWorthwhile({32, 96, 256, 27, 27, 2, 2, 5}, Precision::kFloat));
  EXPECT_FALSE(IsWinogradWorthwhile({32, 96, 256, 1, 27, 2, 2, 5}, Precision::kFloat));
  // Few channels, few outputs, tiles that are hardly used, nothing at all.
  EXPECT_FALSE(IsWinogradWorthwhile({32, 3, 64, 56, 56, 1, 1, 3}, Precision::kFloat));
  EXPECT_FALSE(IsWinogradWorthwhile({1, 64, 64, 7, 7, 1, 1, 3}, Precision::kFloat));
  EXPECT_FALSE(IsWinogradWorthwhile({128, 64, 64, 3, 3, 0, 0, 3}, Precision::kFloat));
  EXPECT_FALSE(IsWinogradWorthwhile({32, 64, 64, 2, 56, 0, 0, 3}, Precision::kFloat));
}

}  // namespace caffe
