#include "caffe/util/binarize.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "binary_layer_test_util.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "caffe/util/sign_bits.hpp"
#include "layer_test_util.hpp"

namespace caffe {

template <typename Dtype>
class BinarizeTest : public ::testing::Test {
 protected:
  BinarizeTest() { Caffe::set_random_seed(1701); }
  Blob<Dtype> alphas_, binary_;
};

TYPED_TEST_SUITE(BinarizeTest, TestDtypes);

TYPED_TEST(BinarizeTest, IsTheDefinition) {
  const vector<vector<int>> shapes = {{1}, {5}, {3, 1}, {7, 13}, {4, 3, 5, 5}, {33, 1000}, {2, 3, 1, 2, 4}};
  for (const vector<int>& shape : shapes) {
    Blob<TypeParam> weights(shape);
    FillNormal(&weights);
    for (const bool use_alpha : {false, true}) {
      BinarizeWeights(weights, use_alpha, &this->alphas_, &this->binary_);
      EXPECT_EQ(this->binary_.shape(), shape);
      EXPECT_EQ(this->alphas_.shape(), vector<int>(1, shape[0]));
      ExpectNear(DataOf(this->binary_), ReferenceBinarized(weights, use_alpha), 1e-12);
      for (int o = 0; o < shape[0]; ++o) {
        EXPECT_EQ(std::fabs(this->binary_.cpu_data()[o * weights.count(1)]), this->alphas_.cpu_data()[o]);
      }
    }
  }
}

TYPED_TEST(BinarizeTest, SignsAreTheSameWeights) {
  for (const vector<int>& shape :
       vector<vector<int>>{{1}, {3, 1}, {7, 13}, {2, 64}, {4, 3, 5, 5}, {33, 1000}}) {
    Blob<TypeParam> weights(shape);
    FillNormal(&weights);
    weights.mutable_cpu_data()[0] = std::numeric_limits<TypeParam>::quiet_NaN();
    for (const bool use_alpha : {false, true}) {
      BinarizeWeights(weights, use_alpha, &this->alphas_, &this->binary_);
      vector<TypeParam> alphas, unpacked(weights.count());
      vector<uint8_t> signs;
      BinarizeToSigns(weights, use_alpha, &alphas, &signs);
      const int outputs = shape[0], n = weights.count(1);
      ASSERT_EQ(static_cast<int64_t>(signs.size()), outputs * SignBytes(n));
      for (int i = 0; i < weights.count(); ++i) {
        const int64_t bit = i / n * 8 * SignBytes(n) + i % n;
        EXPECT_EQ(signs[bit / 8] >> bit % 8 & 1, weights.cpu_data()[i] >= 0);
      }
      // What fills a row's last byte is 0: equal weights have equal bytes.
      if (n % 8 != 0) {
        EXPECT_EQ(signs[SignBytes(n) - 1] >> n % 8, 0);
      }
      UnpackSigns(outputs, n, signs.data(), alphas.data(), unpacked.data());
      for (int i = use_alpha ? n : 0; i < weights.count(); ++i) {
        EXPECT_EQ(unpacked[i], this->binary_.cpu_data()[i]);
      }
    }
  }
}

TYPED_TEST(BinarizeTest, ZerosArePositiveAndNanIsNegative) {
  const TypeParam nan = std::numeric_limits<TypeParam>::quiet_NaN();
  const TypeParam tiny = std::numeric_limits<TypeParam>::denorm_min();
  const TypeParam infinity = std::numeric_limits<TypeParam>::infinity();
  const vector<TypeParam> values = {0, TypeParam(-0.0), tiny, -tiny, infinity, -infinity, nan, -nan};
  Blob<TypeParam> weights(vector<int>{1, static_cast<int>(values.size())});
  std::copy(values.begin(), values.end(), weights.mutable_cpu_data());
  BinarizeWeights(weights, false, &this->alphas_, &this->binary_);
  EXPECT_EQ(DataOf(this->binary_), vector<TypeParam>({1, 1, 1, -1, 1, -1, -1, -1}));
}

TYPED_TEST(BinarizeTest, ZeroWeightsStayZero) {
  Blob<TypeParam> weights(vector<int>{2, 9});
  weights.mutable_cpu_data()[9] = 3;
  BinarizeWeights(weights, true, &this->alphas_, &this->binary_);
  EXPECT_EQ(this->alphas_.cpu_data()[0], 0);
  for (int i = 0; i < 9; ++i) EXPECT_EQ(this->binary_.cpu_data()[i], 0);
  EXPECT_NEAR(this->alphas_.cpu_data()[1], 1.0 / 3, 1e-7);
}

// Float weights must come out to the last bit: a deploy net's weights are saved binarized.
TYPED_TEST(BinarizeTest, BinaryWeightsBinarizeToThemselves) {
  Blob<TypeParam> weights(vector<int>{37, 251}), again;
  FillNormal(&weights);
  for (const bool use_alpha : {false, true}) {
    BinarizeWeights(weights, use_alpha, &this->alphas_, &this->binary_);
    Blob<TypeParam> alphas_again;
    BinarizeWeights(this->binary_, use_alpha, &alphas_again, &again);
    ExpectNear(DataOf(again), DataOf(this->binary_), sizeof(TypeParam) == 4 ? 0 : 1e-14);
  }
}

TYPED_TEST(BinarizeTest, ThreadsDoNotChangeTheResult) {
  Blob<TypeParam> weights(vector<int>{50, 3000});
  FillNormal(&weights);
  vector<vector<TypeParam>> results;
  for (const int threads : {1, 3, 4}) {
    const ThreadsForTest set(threads);
    BinarizeWeights(weights, true, &this->alphas_, &this->binary_);
    results.push_back(DataOf(this->binary_));
  }
  EXPECT_EQ(results[1], results[0]);
  EXPECT_EQ(results[2], results[0]);
}

TYPED_TEST(BinarizeTest, BlobWithoutAxesIsAnError) {
  Blob<TypeParam> weights((vector<int>()));
  EXPECT_NE(ErrorOf([&] { BinarizeWeights(weights, true, &this->alphas_, &this->binary_); }).find("outputs"),
            string::npos);
}

}  // namespace caffe
