#include <cmath>
#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_gradient_check_util.hpp"
#include "layer_test_util.hpp"

namespace caffe {

template <typename TypeParam>
class BatchNormLayerTest : public MultiDeviceTest<TypeParam> {};
TYPED_TEST_SUITE(BatchNormLayerTest, TestDtypesAndDevices);

namespace {

const char kTrain[] = "type: 'BatchNorm' batch_norm_param { use_global_stats: false }";

template <typename Dtype>
void Moments(const Blob<Dtype>& blob, int channel, double* mean, double* variance) {
  const int inner = blob.count(2);
  double sum = 0, square = 0;
  for (int n = 0; n < blob.shape(0); ++n) {
    for (int i = 0; i < inner; ++i) {
      const double x = blob.cpu_data()[(n * blob.shape(1) + channel) * inner + i];
      sum += x;
      square += x * x;
    }
  }
  const double count = blob.shape(0) * inner;
  *mean = sum / count;
  *variance = square / count - *mean * *mean;
}

}  // namespace

TYPED_TEST(BatchNormLayerTest, NormalizesEachChannel) {
  using Dtype = typename TypeParam::Dtype;
  for (const vector<int>& shape : {vector<int>{5, 3, 4, 7}, vector<int>{9, 3}, vector<int>{2, 3, 33}}) {
    LayerFixture<Dtype> fixture(kTrain, shape);
    for (int i = 0; i < fixture.bottom.count(); ++i) fixture.bottom.mutable_cpu_data()[i] += 7;
    fixture.SetUp();
    fixture.Forward();
    for (int c = 0; c < 3; ++c) {
      double mean, variance;
      Moments(fixture.top, c, &mean, &variance);
      EXPECT_NEAR(mean, 0, 1e-5);
      EXPECT_NEAR(variance, 1, 1e-3);
    }
  }
}

// Far from zero, with images that differ more than the values of one do.
TYPED_TEST(BatchNormLayerTest, KeepsTheDigitsOfASmallVariance) {
  typedef typename TypeParam::Dtype Dtype;
  LayerFixture<Dtype> norm("type: 'BatchNorm' phase: TRAIN", {7, 3, 5, 6});
  Dtype* x = norm.bottom.mutable_cpu_data();
  for (int i = 0; i < norm.bottom.count(); ++i) x[i] = x[i] / 16 + 1000 + i / norm.bottom.count(1) / Dtype(4);
  norm.SetUp();
  norm.Forward();
  for (int c = 0; c < 3; ++c) {
    double sum = 0, squares = 0;
    const auto each = [&](auto take) {
      for (int n = 0; n < 7; ++n) {
        for (int i = 0; i < 30; ++i) take(norm.bottom.cpu_data()[(n * 3 + c) * 30 + i], (n * 3 + c) * 30 + i);
      }
    };
    each([&](double value, int) { sum += value; });
    const double mean = sum / 210;
    each([&](double value, int) { squares += (value - mean) * (value - mean); });
    const double deviation = std::sqrt(squares / 210 + 1e-5);
    each([&](double value, int i) {
      EXPECT_NEAR(norm.top.cpu_data()[i], (value - mean) / deviation, sizeof(Dtype) == 4 ? 2e-3 : 1e-9);
    });
  }
}

TYPED_TEST(BatchNormLayerTest, KeepsMovingSumsOfUnbiasedMoments) {
  using Dtype = typename TypeParam::Dtype;
  LayerFixture<Dtype> fixture(
      "type: 'BatchNorm' batch_norm_param { use_global_stats: false moving_average_fraction: 0.5 }",
      {6, 2, 5});
  fixture.SetUp();
  double mean, variance;
  Moments(fixture.bottom, 1, &mean, &variance);
  fixture.Forward();
  fixture.Forward();
  // Each pass: old * 0.5 + new.
  EXPECT_NEAR(fixture.blob(2).cpu_data()[0], 1.5, 1e-6);
  EXPECT_NEAR(fixture.blob(0).cpu_data()[1], 1.5 * mean, 1e-5);
  EXPECT_NEAR(fixture.blob(1).cpu_data()[1], 1.5 * variance * 30 / 29, 1e-4);
}

TYPED_TEST(BatchNormLayerTest, GlobalStatisticsAreDividedByTheirFactor) {
  using Dtype = typename TypeParam::Dtype;
  LayerFixture<Dtype> fixture("phase: TEST type: 'BatchNorm' batch_norm_param { eps: 0.25 }", {2, 2, 3});
  fixture.SetUp();
  const Dtype mean[] = {2, -4}, variance[] = {8, 1};
  std::copy_n(mean, 2, fixture.blob(0).mutable_cpu_data());
  std::copy_n(variance, 2, fixture.blob(1).mutable_cpu_data());
  fixture.blob(2).mutable_cpu_data()[0] = 4;
  fixture.Forward();
  for (int i = 0; i < fixture.bottom.count(); ++i) {
    const int c = i / 3 % 2;
    const double expected =
        (fixture.bottom.cpu_data()[i] - mean[c] / 4.0) / std::sqrt(variance[c] / 4.0 + 0.25);
    EXPECT_NEAR(fixture.top.cpu_data()[i], expected, 1e-5);
  }
  EXPECT_EQ(fixture.blob(2).cpu_data()[0], 4) << "a test pass leaves the statistics alone";
}

TYPED_TEST(BatchNormLayerTest, PhaseChoosesTheStatistics) {
  using Dtype = typename TypeParam::Dtype;
  LayerFixture<Dtype> train("phase: TRAIN type: 'BatchNorm'", {4, 2});
  train.SetUp();
  train.Forward();
  EXPECT_EQ(train.blob(2).cpu_data()[0], 1);
  LayerFixture<Dtype> test("phase: TEST type: 'BatchNorm'", {4, 2});
  test.SetUp();
  test.Forward();
  EXPECT_EQ(test.blob(2).cpu_data()[0], 0);
}

TYPED_TEST(BatchNormLayerTest, GradientMatchesDifferences) {
  using Dtype = typename TypeParam::Dtype;
  const bool is_double = sizeof(Dtype) == 8;
  for (const vector<int>& shape : {vector<int>{4, 2, 3}, vector<int>{5, 3}}) {
    LayerFixture<Dtype> fixture(kTrain, shape);
    GradientChecker<Dtype> checker(is_double ? 1e-4 : 1e-2, is_double ? 1e-5 : 2e-2);
    checker.CheckGradientExhaustive(fixture.layer.get(), fixture.bottoms, fixture.tops);
  }
}

TYPED_TEST(BatchNormLayerTest, GlobalStatisticsAreConstantsForTheGradient) {
  using Dtype = typename TypeParam::Dtype;
  LayerFixture<Dtype> fixture("type: 'BatchNorm' batch_norm_param { use_global_stats: true eps: 0.25 }",
                              {2, 3, 2});
  fixture.SetUp();
  for (int i = 0; i < 3; ++i) {
    caffe_set(fixture.blob(i).count(), Dtype(i == 1 ? 4 : 2), fixture.blob(i).mutable_cpu_data());
  }
  fixture.Forward();
  FillNormal(&fixture.top);
  std::copy_n(fixture.top.cpu_data(), fixture.top.count(), fixture.top.mutable_cpu_diff());
  fixture.Backward();
  for (int i = 0; i < fixture.top.count(); ++i) {
    EXPECT_NEAR(fixture.bottom.cpu_diff()[i], fixture.top.cpu_diff()[i] / 1.5, 1e-5);
  }
}

TYPED_TEST(BatchNormLayerTest, InPlaceEqualsOutOfPlaceOnAnyThreads) {
  using Dtype = typename TypeParam::Dtype;
  LayerFixture<Dtype> apart(kTrain, {16, 8, 15, 15});
  Blob<Dtype> together;
  together.CopyFrom(apart.bottom, false, true);
  apart.SetUp();
  Blob<Dtype> gradient(apart.top.shape());
  FillNormal(&gradient);
  {
    ThreadsForTest threads(1);
    apart.Forward();
    std::copy_n(gradient.cpu_data(), gradient.count(), apart.top.mutable_cpu_diff());
    apart.Backward();
  }
  ThreadsForTest threads(3);
  const auto layer = MakeLayer<Dtype>(kTrain);
  layer->SetUp({&together}, {&together});
  layer->Forward({&together}, {&together});
  EXPECT_EQ(DataOf(together), DataOf(apart.top));
  // A layer after this one may overwrite the output in place.
  caffe_set(together.count(), Dtype(0), together.mutable_cpu_data());
  std::copy_n(gradient.cpu_data(), gradient.count(), together.mutable_cpu_diff());
  layer->Backward({&together}, {true}, {&together});
  EXPECT_EQ(DiffOf(together), DiffOf(apart.bottom));
}

TYPED_TEST(BatchNormLayerTest, StatisticsAreNeverLearned) {
  using Dtype = typename TypeParam::Dtype;
  LayerFixture<Dtype> plain(kTrain, {2, 2});
  plain.SetUp();
  ASSERT_EQ(plain.layer->layer_param().param_size(), 3);
  EXPECT_EQ(plain.layer->layer_param().param(2).lr_mult(), 0);
  LayerFixture<Dtype> learned("name: 'bn' type: 'BatchNorm' param { lr_mult: 1 }", {2, 2});
  const string error = ErrorOf([&] { learned.SetUp(); });
  EXPECT_NE(error.find("layer 'bn' (BatchNorm)"), string::npos) << error;
  EXPECT_NE(error.find("lr_mult: 0"), string::npos) << error;
}

TYPED_TEST(BatchNormLayerTest, NetsNeitherLearnNorDecayStatistics) {
  using Dtype = typename TypeParam::Dtype;
  NetParameter param;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      "layer { name: 'd' type: 'DummyData' top: 'd' dummy_data_param { shape { dim: 4 dim: 2 } } } "
      "layer { name: 'bn' type: 'BatchNorm' bottom: 'd' top: 'bn' } "
      "layer { name: 'loss' type: 'EuclideanLoss' bottom: 'bn' bottom: 'd' top: 'loss' }",
      &param));
  const Net<Dtype> net(param);
  EXPECT_EQ(net.params_lr(), vector<float>(3, 0));
  EXPECT_FALSE(net.layer_need_backward()[1]);
}

}  // namespace caffe
