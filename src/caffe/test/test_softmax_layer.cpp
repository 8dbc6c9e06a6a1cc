#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_gradient_check_util.hpp"
#include "layer_test_util.hpp"

namespace caffe {

template <typename TypeParam>
class SoftmaxLayerTest : public MultiDeviceTest<TypeParam> {};
TYPED_TEST_SUITE(SoftmaxLayerTest, TestDtypesAndDevices);

TYPED_TEST(SoftmaxLayerTest, SumsToOneAlongTheAxis) {
  using Dtype = typename TypeParam::Dtype;
  for (int axis : {0, 1, 2, -1}) {
    LayerFixture<Dtype> fixture("type: 'Softmax' softmax_param { axis: " + std::to_string(axis) + " }",
                                {3, 4, 5});
    fixture.bottom.mutable_cpu_data()[0] = 800;
    fixture.bottom.mutable_cpu_data()[1] = -800;
    fixture.SetUp();
    fixture.Forward();
    const int canonical = fixture.bottom.CanonicalAxisIndex(axis);
    const int outer = fixture.bottom.count(0, canonical), size = fixture.bottom.shape(canonical);
    const int inner = fixture.bottom.count(canonical + 1);
    for (int o = 0; o < outer; ++o) {
      for (int i = 0; i < inner; ++i) {
        double sum = 0, weights = 0, largest = -1e30;
        for (int c = 0; c < size; ++c) {
          largest = std::max<double>(largest, fixture.bottom.cpu_data()[(o * size + c) * inner + i]);
        }
        for (int c = 0; c < size; ++c) {
          weights += std::exp(fixture.bottom.cpu_data()[(o * size + c) * inner + i] - largest);
        }
        for (int c = 0; c < size; ++c) {
          const int at = (o * size + c) * inner + i;
          sum += fixture.top.cpu_data()[at];
          EXPECT_NEAR(fixture.top.cpu_data()[at], std::exp(fixture.bottom.cpu_data()[at] - largest) / weights,
                      1e-6);
        }
        EXPECT_NEAR(sum, 1, 1e-5);
      }
    }
  }
}

TYPED_TEST(SoftmaxLayerTest, GradientMatchesDifferences) {
  using Dtype = typename TypeParam::Dtype;
  for (const char* text : {"type: 'Softmax'", "type: 'Softmax' softmax_param { axis: -1 }"}) {
    LayerFixture<Dtype> fixture(text, {2, 3, 4});
    CheckerFor<Dtype>().CheckGradientExhaustive(fixture.layer.get(), fixture.bottoms, fixture.tops);
  }
}

namespace {

template <typename Dtype>
struct LossFixture : LayerFixture<Dtype> {
  LossFixture(const string& text, const vector<int>& shape, const vector<int>& label_shape, int classes)
      : LayerFixture<Dtype>(text, shape), label(label_shape) {
    this->bottoms.push_back(&label);
    for (int i = 0; i < label.count(); ++i) label.mutable_cpu_data()[i] = (i * 7 + 2) % classes;
  }
  Blob<Dtype> label;
};

double LogSumExp(const std::vector<double>& x) {
  double sum = 0;
  for (double value : x) sum += std::exp(value);
  return std::log(sum);
}

}  // namespace

TYPED_TEST(SoftmaxLayerTest, LossIsNegativeLogLikelihoodOverNormalizer) {
  using Dtype = typename TypeParam::Dtype;
  const struct {
    const char* loss_param;
    double normalizer;
    bool ignores;
  } cases[] = {{"", 12, false},
               {"loss_param { ignore_label: 2 }", 0, true},
               {"loss_param { ignore_label: 2 normalization: FULL }", 12, true},
               {"loss_param { ignore_label: 2 normalization: VALID }", 0, true},
               {"loss_param { ignore_label: 2 normalization: BATCH_SIZE }", 4, true},
               {"loss_param { ignore_label: 2 normalization: NONE }", 1, true},
               {"loss_param { ignore_label: 2 normalize: true }", 0, true},
               {"loss_param { normalize: false }", 4, false}};
  for (const auto& c : cases) {
    SCOPED_TRACE(c.loss_param);
    LossFixture<Dtype> fixture(string("type: 'SoftmaxWithLoss' ") + c.loss_param, {4, 5, 3}, {4, 1, 3}, 5);
    fixture.SetUp();
    fixture.Forward();
    double loss = 0;
    int valid = 0;
    for (int n = 0; n < 4; ++n) {
      for (int i = 0; i < 3; ++i) {
        const int label = static_cast<int>(fixture.label.cpu_data()[n * 3 + i]);
        if (c.ignores && label == 2) continue;
        std::vector<double> x;
        for (int k = 0; k < 5; ++k) x.push_back(fixture.bottom.cpu_data()[(n * 5 + k) * 3 + i]);
        loss += LogSumExp(x) - x[label];
        ++valid;
      }
    }
    EXPECT_NEAR(fixture.top.cpu_data()[0], loss / (c.normalizer ? c.normalizer : valid), 1e-4);
  }
}

TYPED_TEST(SoftmaxLayerTest, LossGradientMatchesDifferences) {
  using Dtype = typename TypeParam::Dtype;
  for (const char* text :
       {"type: 'SoftmaxWithLoss' loss_weight: 3",
        "type: 'SoftmaxWithLoss' loss_param { ignore_label: 2 normalization: BATCH_SIZE }"}) {
    LossFixture<Dtype> fixture(text, {3, 4, 2}, {3, 2}, 4);
    CheckerFor<Dtype>().CheckGradientExhaustive(fixture.layer.get(), fixture.bottoms, fixture.tops, 0);
  }
}

TYPED_TEST(SoftmaxLayerTest, SecondTopIsTheSoftmaxWithoutLossWeight) {
  using Dtype = typename TypeParam::Dtype;
  LossFixture<Dtype> fixture("type: 'SoftmaxWithLoss'", {3, 4}, {3}, 4);
  Blob<Dtype> prob;
  fixture.tops.push_back(&prob);
  fixture.SetUp();
  EXPECT_EQ(fixture.layer->loss(0), 1);
  EXPECT_EQ(fixture.layer->loss(1), 0);
  fixture.Forward();
  ASSERT_EQ(prob.shape(), fixture.bottom.shape());
  EXPECT_NEAR(prob.cpu_data()[0] + prob.cpu_data()[1] + prob.cpu_data()[2] + prob.cpu_data()[3], 1, 1e-5);
}

TYPED_TEST(SoftmaxLayerTest, AllIgnoredIsZeroNotNaN) {
  using Dtype = typename TypeParam::Dtype;
  LossFixture<Dtype> fixture("type: 'SoftmaxWithLoss' loss_param { ignore_label: 0 }", {3, 4}, {3}, 1);
  caffe_set(3, Dtype(0), fixture.label.mutable_cpu_data());
  fixture.SetUp();
  fixture.Forward();
  EXPECT_EQ(fixture.top.cpu_data()[0], 0);
}

TYPED_TEST(SoftmaxLayerTest, WrongLabelsAreNamed) {
  using Dtype = typename TypeParam::Dtype;
  for (double wrong : {5.0, -1.0, std::numeric_limits<double>::quiet_NaN()}) {
    LossFixture<Dtype> fixture("name: 'loss' type: 'SoftmaxWithLoss'", {3, 5}, {3}, 5);
    fixture.SetUp();
    fixture.label.mutable_cpu_data()[1] = static_cast<Dtype>(wrong);
    const string error = ErrorOf([&] { fixture.Forward(); });
    EXPECT_NE(error.find("layer 'loss' (SoftmaxWithLoss)"), string::npos) << error;
    EXPECT_NE(error.find("wrong label"), string::npos) << error;
    EXPECT_NE(error.find("position 1"), string::npos) << error;
    EXPECT_NE(error.find("from 0 to 4"), string::npos) << error;
  }
  LossFixture<Dtype> count("type: 'SoftmaxWithLoss'", {3, 5, 2}, {3}, 5);
  EXPECT_NE(ErrorOf([&] { count.SetUp(); }).find("takes 6 labels, not 3"), string::npos);
}

TYPED_TEST(SoftmaxLayerTest, NaNScoresGiveNaNLoss) {
  using Dtype = typename TypeParam::Dtype;
  LossFixture<Dtype> fixture("type: 'SoftmaxWithLoss'", {2, 3}, {2}, 3);
  fixture.SetUp();
  fixture.bottom.mutable_cpu_data()[0] = std::numeric_limits<Dtype>::quiet_NaN();
  fixture.Forward();
  EXPECT_TRUE(std::isnan(fixture.top.cpu_data()[0]));
}

}  // namespace caffe
