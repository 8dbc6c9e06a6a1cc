#include "caffe/filler.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "layer_test_util.hpp"

namespace caffe {

namespace {

struct Moments {
  double mean;
  double deviation;
};

template <typename Dtype>
Moments MomentsOf(const Blob<Dtype>& blob) {
  const Dtype* data = blob.cpu_data();
  const double count = blob.count();
  const double mean = std::accumulate(data, data + blob.count(), 0.0) / count;
  double squares = 0;
  for (int i = 0; i < blob.count(); ++i) squares += (data[i] - mean) * (data[i] - mean);
  return {mean, std::sqrt(squares / count)};
}

}  // namespace

template <typename Dtype>
class FillerTest : public ::testing::Test {
 protected:
  FillerTest() { Caffe::set_random_seed(1701); }

  FillerParameter Param(const string& type) {
    FillerParameter param;
    param.set_type(type);
    return param;
  }

  string FillError(const FillerParameter& param, const vector<int>& shape) {
    Blob<Dtype> blob(shape);
    return ErrorOf([&] { FillBlob(param, &blob); });
  }
};

TYPED_TEST_SUITE(FillerTest, TestDtypes);

TYPED_TEST(FillerTest, ConstantIsZeroByDefaultAndValueOtherwise) {
  FillerParameter param;
  Blob<TypeParam> blob({2, 3, 5});
  FillBlob(param, &blob);
  for (int i = 0; i < blob.count(); ++i) EXPECT_EQ(blob.cpu_data()[i], 0);
  param.set_value(-1.5);
  FillBlob(param, &blob);
  for (int i = 0; i < blob.count(); ++i) EXPECT_EQ(blob.cpu_data()[i], -1.5);
}

TYPED_TEST(FillerTest, UniformCoversItsRange) {
  FillerParameter param = this->Param("uniform");
  param.set_min(1);
  param.set_max(2);
  Blob<TypeParam> blob({100, 100});
  FillBlob(param, &blob);
  const auto range = std::minmax_element(blob.cpu_data(), blob.cpu_data() + blob.count());
  EXPECT_GE(*range.first, 1);
  EXPECT_LE(*range.second, 2);
  EXPECT_LT(*range.first, 1.01);
  EXPECT_GT(*range.second, 1.99);
  EXPECT_NEAR(MomentsOf(blob).mean, 1.5, 0.02);
}

TYPED_TEST(FillerTest, GaussianHasItsMoments) {
  FillerParameter param = this->Param("gaussian");
  param.set_mean(10);
  param.set_std(0.1);
  Blob<TypeParam> blob({100, 100});
  FillBlob(param, &blob);
  EXPECT_NEAR(MomentsOf(blob).mean, 10, 0.01);
  EXPECT_NEAR(MomentsOf(blob).deviation, 0.1, 0.005);
}

TYPED_TEST(FillerTest, SparseGaussianKeepsSparseOfShape0) {
  FillerParameter param = this->Param("gaussian");
  param.set_sparse(5);
  Blob<TypeParam> blob({20, 500});
  FillBlob(param, &blob);
  const auto kept = blob.count() - std::count(blob.cpu_data(), blob.cpu_data() + blob.count(), TypeParam(0));
  EXPECT_NEAR(static_cast<double>(kept), blob.count() * 5 / 20, 150);
  param.set_sparse(0);
  FillBlob(param, &blob);
  EXPECT_EQ(blob.asum_data(), 0);
}

TYPED_TEST(FillerTest, SameSeedGivesSameValues) {
  const FillerParameter param = this->Param("gaussian");
  Blob<TypeParam> first({50}), second({50});
  Caffe::set_random_seed(3);
  FillBlob(param, &first);
  Caffe::set_random_seed(3);
  FillBlob(param, &second);
  EXPECT_TRUE(std::equal(first.cpu_data(), first.cpu_data() + 50, second.cpu_data()));
}

TYPED_TEST(FillerTest, PositiveUnitballSumsToOnePerLeadingIndex) {
  Blob<TypeParam> blob({7, 3, 5});
  FillBlob(this->Param("positive_unitball"), &blob);
  for (int i = 0; i < 7; ++i) {
    const TypeParam* row = blob.cpu_data() + i * 15;
    EXPECT_GE(*std::min_element(row, row + 15), 0);
    EXPECT_NEAR(std::accumulate(row, row + 15, 0.0), 1, 1e-5);
  }
}

TYPED_TEST(FillerTest, XavierAndMsraScaleByTheChosenFan) {
  const int fan_in = 2 * 4 * 5, fan_out = 1000 * 4 * 5;
  struct {
    FillerParameter::VarianceNorm norm;
    double n;
  } const cases[] = {{FillerParameter::FAN_IN, fan_in},
                     {FillerParameter::FAN_OUT, fan_out},
                     {FillerParameter::AVERAGE, (fan_in + fan_out) / 2.0}};
  Blob<TypeParam> blob(1000, 2, 4, 5);
  for (const auto& test : cases) {
    FillerParameter param = this->Param("xavier");
    param.set_variance_norm(test.norm);
    FillBlob(param, &blob);
    const double limit = std::sqrt(3 / test.n);
    const auto range = std::minmax_element(blob.cpu_data(), blob.cpu_data() + blob.count());
    EXPECT_NEAR(*range.first, -limit, 0.01 * limit);
    EXPECT_NEAR(*range.second, limit, 0.01 * limit);

    param.set_type("msra");
    FillBlob(param, &blob);
    const double deviation = std::sqrt(2 / test.n);
    EXPECT_NEAR(MomentsOf(blob).mean, 0, 0.02 * deviation);
    EXPECT_NEAR(MomentsOf(blob).deviation, deviation, 0.02 * deviation);
  }
}

TYPED_TEST(FillerTest, FanOutOfOneAxisIsItsLength) {
  FillerParameter param = this->Param("xavier");
  param.set_variance_norm(FillerParameter::FAN_OUT);
  Blob<TypeParam> blob({3000});
  FillBlob(param, &blob);
  const double limit = std::sqrt(3.0 / 3000);
  EXPECT_NEAR(*std::max_element(blob.cpu_data(), blob.cpu_data() + 3000), limit, 0.01 * limit);
}

TYPED_TEST(FillerTest, BilinearIsAHatAroundTheCenter) {
  Blob<TypeParam> even(2, 1, 4, 4);
  FillBlob(this->Param("bilinear"), &even);
  const double hat4[] = {0.25, 0.75, 0.75, 0.25};
  for (int i = 0; i < even.count(); ++i) EXPECT_NEAR(even.cpu_data()[i], hat4[i % 4] * hat4[i / 4 % 4], 1e-6);
  Blob<TypeParam> odd(1, 1, 3, 3);
  FillBlob(this->Param("bilinear"), &odd);
  const double hat3[] = {0.5, 1, 0.5};
  for (int i = 0; i < odd.count(); ++i) EXPECT_NEAR(odd.cpu_data()[i], hat3[i % 3] * hat3[i / 3], 1e-6);
}

TYPED_TEST(FillerTest, UnknownTypeNamesTheNearest) {
  const string error = this->FillError(this->Param("gausian"), {2});
  EXPECT_NE(error.find("unknown filler type 'gausian' (did you mean 'gaussian'?)"), string::npos) << error;
  EXPECT_NE(error.find("xavier"), string::npos) << error;
}

TYPED_TEST(FillerTest, BadSettingsAreErrors) {
  FillerParameter sparse = this->Param("xavier");
  sparse.set_sparse(3);
  EXPECT_NE(this->FillError(sparse, {2, 3}).find("no sparse form"), string::npos);
  sparse.set_type("gaussian");
  EXPECT_NE(this->FillError(sparse, {2, 3}).find("sparse / shape(0)"), string::npos);
  sparse.set_sparse(-2);
  EXPECT_NE(this->FillError(sparse, {2, 3}).find("sparse"), string::npos);
  FillerParameter uniform = this->Param("uniform");
  uniform.set_min(2);
  EXPECT_NE(this->FillError(uniform, {2}).find("min <= max"), string::npos);
  EXPECT_NE(this->FillError(this->Param("bilinear"), {2, 3}).find("four axes"), string::npos);
  EXPECT_NE(this->FillError(this->Param("bilinear"), {1, 1, 2, 3}).find("square"), string::npos);
  EXPECT_NE(this->FillError(this->Param("constant"), {2, 0}).find("nothing to fill"), string::npos);
}

}  // namespace caffe
