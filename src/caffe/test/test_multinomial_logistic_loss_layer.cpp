#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "caffe/layers/loss_layer.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "layer_test_util.hpp"

namespace caffe {

template <typename TypeParam>
class MultinomialLogisticLossLayerTest : public MultiDeviceTest<TypeParam> {
 protected:
  using Dtype = typename TypeParam::Dtype;
  MultinomialLogisticLossLayerTest()
      : run_("name: 'loss' type: 'MultinomialLogisticLoss'", {{4, 3}, {4, 1, 1, 1}}) {
    for (int i = 0; i < 12; ++i) run_.bottoms[0]->mutable_cpu_data()[i] = Dtype(0.1 + i * 5 % 7 / 10.0);
    run_.SetBottom(1, {2, 0, 1, 1});
  }
  LayerRun<Dtype> run_;
};
TYPED_TEST_SUITE(MultinomialLogisticLossLayerTest, TestDtypesAndDevices);

TYPED_TEST(MultinomialLogisticLossLayerTest, IsTheMeanLogarithm) {
  auto& run = this->run_;
  run.SetUp();
  run.Forward();
  double expected = 0;
  for (const int i : {2, 3, 7, 10}) expected -= std::log(run.bottoms[0]->cpu_data()[i]) / 4;
  EXPECT_NEAR(run.tops[0]->cpu_data()[0], expected, 1e-5);
}

TYPED_TEST(MultinomialLogisticLossLayerTest, GradientMatchesDifferences) {
  using Dtype = typename TypeParam::Dtype;
  auto& run = this->run_;
  const bool is_double = sizeof(Dtype) == 8;
  GradientChecker<Dtype> checker(is_double ? 1e-5 : 1e-2, is_double ? 1e-6 : 5e-2);
  checker.CheckGradientExhaustive(run.layer.get(), run.bottoms, run.tops, 0);
}

TYPED_TEST(MultinomialLogisticLossLayerTest, ProbabilityZeroHasAFiniteLossAndNaNIsSeen) {
  using Dtype = typename TypeParam::Dtype;
  auto& run = this->run_;
  run.SetUp();
  run.bottoms[0]->mutable_cpu_data()[2] = 0;
  run.Forward();
  EXPECT_TRUE(std::isfinite(run.tops[0]->cpu_data()[0]));
  run.bottoms[0]->mutable_cpu_data()[2] = std::numeric_limits<Dtype>::quiet_NaN();
  run.Forward();
  EXPECT_TRUE(std::isnan(run.tops[0]->cpu_data()[0]));
}

TYPED_TEST(MultinomialLogisticLossLayerTest, RefusesBadLabels) {
  using Dtype = typename TypeParam::Dtype;
  auto& run = this->run_;
  run.SetUp();
  run.bottoms[1]->mutable_cpu_data()[2] = -1;
  const string error = ErrorOf([&] { run.Forward(); });
  EXPECT_TRUE(Contains(error, "layer 'loss' (MultinomialLogisticLoss)"));
  EXPECT_TRUE(Contains(error, "wrong label -1 at position 2"));
  EXPECT_TRUE(Contains(ErrorOf([&] { run.Backward({true, true}); }), "no gradient"));
  LayerRun<Dtype> many("type: 'MultinomialLogisticLoss'", {{5, 3}, {5, 2}});
  EXPECT_TRUE(Contains(ErrorOf([&] { many.SetUp(); }), "one label for each item"));
}

}  // namespace caffe
