#include <cmath>
#include <string>
#include <vector>

#include "caffe/layers/loss_layer.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_gradient_check_util.hpp"
#include "layer_test_util.hpp"

namespace caffe {

template <typename TypeParam>
class LossLayersTest : public MultiDeviceTest<TypeParam> {};
TYPED_TEST_SUITE(LossLayersTest, TestDtypesAndDevices);

TYPED_TEST(LossLayersTest, EuclideanIsHalfTheMeanSquare) {
  using Dtype = typename TypeParam::Dtype;
  Blob<Dtype> a({3, 5}), b({3, 5}), loss;
  FillNormal(&a);
  FillNormal(&b);
  const auto layer = MakeLayer<Dtype>("type: 'EuclideanLoss' loss_weight: 2.5");
  layer->SetUp({&a, &b}, {&loss});
  const Dtype weighted = layer->Forward({&a, &b}, {&loss});
  double expected = 0;
  for (int i = 0; i < 15; ++i) expected += std::pow(a.cpu_data()[i] - b.cpu_data()[i], 2) / 6;
  EXPECT_NEAR(loss.cpu_data()[0], expected, 1e-5);
  EXPECT_NEAR(weighted, 2.5 * expected, 1e-4);
  CheckerFor<Dtype>().CheckGradientExhaustive(layer.get(), {&a, &b}, {&loss});
}

TYPED_TEST(LossLayersTest, EuclideanRefusesOtherShapes) {
  using Dtype = typename TypeParam::Dtype;
  Blob<Dtype> a({3, 5}), b({3, 4}), c({2, 5}), loss;
  const auto layer = MakeLayer<Dtype>("name: 'l' type: 'EuclideanLoss'");
  EXPECT_NE(ErrorOf([&] { layer->SetUp({&a, &b}, {&loss}); }).find("same dimensions"), string::npos);
  EXPECT_NE(ErrorOf([&] { layer->SetUp({&a, &c}, {&loss}); }).find("same number of items"), string::npos);
}

TYPED_TEST(LossLayersTest, SigmoidCrossEntropy) {
  using Dtype = typename TypeParam::Dtype;
  const struct {
    const char* loss_param;
    double normalizer;
  } cases[] = {{"", 4},
               {"loss_param { normalization: FULL }", 12},
               {"loss_param { normalization: VALID }", 12},
               {"loss_param { normalization: NONE }", 1}};
  for (const auto& c : cases) {
    Blob<Dtype> x({4, 3}), target({4, 3}), loss;
    FillNormal(&x);
    for (int i = 0; i < 12; ++i) target.mutable_cpu_data()[i] = Dtype((i * 5 % 11) / 10.0);
    const auto layer = MakeLayer<Dtype>(string("type: 'SigmoidCrossEntropyLoss' ") + c.loss_param);
    layer->SetUp({&x, &target}, {&loss});
    layer->Forward({&x, &target}, {&loss});
    double expected = 0;
    for (int i = 0; i < 12; ++i) {
      const double s = 1 / (1 + std::exp(-static_cast<double>(x.cpu_data()[i]))), p = target.cpu_data()[i];
      expected -= p * std::log(s) + (1 - p) * std::log(1 - s);
    }
    EXPECT_NEAR(loss.cpu_data()[0], expected / c.normalizer, 1e-4);
    CheckerFor<Dtype>().CheckGradientExhaustive(layer.get(), {&x, &target}, {&loss}, 0);
  }
}

TYPED_TEST(LossLayersTest, SigmoidCrossEntropyIgnoresAndStaysFinite) {
  using Dtype = typename TypeParam::Dtype;
  Blob<Dtype> x({1, 3}), target({1, 3}), loss;
  const Dtype scores[] = {500, -500, 3}, targets[] = {1, 0, -1};
  std::copy_n(scores, 3, x.mutable_cpu_data());
  std::copy_n(targets, 3, target.mutable_cpu_data());
  const auto layer = MakeLayer<Dtype>(
      "type: 'SigmoidCrossEntropyLoss' loss_param { ignore_label: -1 normalization: VALID }");
  layer->SetUp({&x, &target}, {&loss});
  layer->Forward({&x, &target}, {&loss});
  EXPECT_NEAR(loss.cpu_data()[0], 0, 1e-6);
  layer->Backward({&loss}, {true, false}, {&x, &target});
  EXPECT_EQ(x.cpu_diff()[2], 0);
  EXPECT_NE(ErrorOf([&] { layer->Backward({&loss}, {true, true}, {&x, &target}); }).find("no gradient"),
            string::npos);
}

TEST(LossNormalizerTest, Modes) {
  EXPECT_EQ(LossNormalizer<double>(LossParameter_NormalizationMode_FULL, 4, 3, 5), 12);
  EXPECT_EQ(LossNormalizer<double>(LossParameter_NormalizationMode_VALID, 4, 3, 5), 5);
  EXPECT_EQ(LossNormalizer<double>(LossParameter_NormalizationMode_VALID, 4, 3, -1), 12);
  EXPECT_EQ(LossNormalizer<double>(LossParameter_NormalizationMode_BATCH_SIZE, 4, 3, 5), 4);
  EXPECT_EQ(LossNormalizer<double>(LossParameter_NormalizationMode_NONE, 4, 3, 5), 1);
  EXPECT_EQ(LossNormalizer<double>(LossParameter_NormalizationMode_VALID, 4, 3, 0), 1);
}

}  // namespace caffe
