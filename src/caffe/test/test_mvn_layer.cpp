#include <cmath>
#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "layer_test_util.hpp"

namespace caffe {

template <typename TypeParam>
class MVNLayerTest : public MultiDeviceTest<TypeParam> {
 protected:
  using Dtype = typename TypeParam::Dtype;
  static LayerFixture<Dtype> Make(const string& param, const vector<int>& shape = {2, 3, 4, 5}) {
    return LayerFixture<Dtype>("name: 'mvn' type: 'MVN' mvn_param { " + param + " }", shape);
  }
  /// Checks mean and standard deviation of `groups` equal parts of the top.
  static void ExpectMoments(const Blob<Dtype>& top, int groups, double deviation) {
    const int size = top.count() / groups;
    for (int g = 0; g < groups; ++g) {
      double sum = 0, squares = 0;
      for (int i = g * size; i < (g + 1) * size; ++i) {
        sum += top.cpu_data()[i];
        squares += double(top.cpu_data()[i]) * top.cpu_data()[i];
      }
      EXPECT_NEAR(sum / size, 0, 1e-5);
      if (deviation > 0) {
        EXPECT_NEAR(std::sqrt(squares / size), deviation, 1e-4);
      }
    }
  }
};
TYPED_TEST_SUITE(MVNLayerTest, TestDtypesAndDevices);

TYPED_TEST(MVNLayerTest, NormalizesChannelsOrItems) {
  auto each = this->Make("");
  each.SetUp();
  each.Forward();
  this->ExpectMoments(each.top, 6, 1);
  auto across = this->Make("across_channels: true");
  across.SetUp();
  across.Forward();
  this->ExpectMoments(across.top, 2, 1);
}

TYPED_TEST(MVNLayerTest, CanSubtractTheMeanAlone) {
  auto run = this->Make("normalize_variance: false");
  run.SetUp();
  run.Forward();
  this->ExpectMoments(run.top, 6, 0);
  const double shift = run.bottom.cpu_data()[0] - run.top.cpu_data()[0];
  for (int i = 0; i < 20; ++i) EXPECT_NEAR(run.bottom.cpu_data()[i] - run.top.cpu_data()[i], shift, 1e-5);
}

TYPED_TEST(MVNLayerTest, AddsEpsToTheDeviation) {
  using Dtype = typename TypeParam::Dtype;
  auto run = this->Make("eps: 3", {1, 1, 2});
  run.bottom.mutable_cpu_data()[0] = 4;
  run.bottom.mutable_cpu_data()[1] = 8;
  run.SetUp();
  run.Forward();
  ExpectNear(DataOf(run.top), vector<double>{-0.4, 0.4}, 1e-6);
  auto constant = this->Make("", {1, 1, 3});
  caffe_set(3, Dtype(7), constant.bottom.mutable_cpu_data());
  constant.SetUp();
  constant.Forward();
  EXPECT_EQ(DataOf(constant.top), vector<Dtype>(3, 0));
}

TYPED_TEST(MVNLayerTest, RunsInPlace) {
  auto run = this->Make("");
  run.SetUp();
  run.Forward();
  run.layer->Forward({&run.bottom}, {&run.bottom});
  EXPECT_EQ(DataOf(run.bottom), DataOf(run.top));
}

TYPED_TEST(MVNLayerTest, GradientMatchesDifferences) {
  using Dtype = typename TypeParam::Dtype;
  for (const char* param : {"", "across_channels: true", "normalize_variance: false",
                            "normalize_variance: false across_channels: true"}) {
    auto run = this->Make(param, {2, 2, 5});
    CheckerFor<Dtype>().CheckGradientExhaustive(run.layer.get(), run.bottoms, run.tops);
  }
}

TYPED_TEST(MVNLayerTest, NeedsChannels) {
  auto run = this->Make("", {4});
  EXPECT_TRUE(Contains(ErrorOf([&] { run.SetUp(); }), "layer 'mvn' (MVN)"));
}

}  // namespace caffe
