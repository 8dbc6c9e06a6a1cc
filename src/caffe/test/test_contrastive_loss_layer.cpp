#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "layer_test_util.hpp"

namespace caffe {

template <typename TypeParam>
class ContrastiveLossLayerTest : public MultiDeviceTest<TypeParam> {
 protected:
  using Dtype = typename TypeParam::Dtype;
  static LayerRun<Dtype> Make(const string& settings) {
    LayerRun<Dtype> run("type: 'ContrastiveLoss' contrastive_loss_param { " + settings + " }",
                        {{6, 3, 1}, {6, 3, 1}, {6, 1}});
    run.SetBottom(2, {1, 0, 0, 1, 0, 0});
    return run;
  }
};
TYPED_TEST_SUITE(ContrastiveLossLayerTest, TestDtypesAndDevices);

TYPED_TEST(ContrastiveLossLayerTest, ComparesDistancesWithTheMargin) {
  for (const bool legacy : {false, true}) {
    auto run = this->Make(legacy ? "margin: 4 legacy_version: true" : "margin: 4");
    run.SetUp();
    run.Forward();
    double expected = 0;
    for (int n = 0; n < 6; ++n) {
      double square = 0;
      for (int i = 3 * n; i < 3 * n + 3; ++i) {
        square += std::pow(run.bottoms[0]->cpu_data()[i] - run.bottoms[1]->cpu_data()[i], 2);
      }
      if (run.bottoms[2]->cpu_data()[n]) {
        expected += square / 12;
      } else if (legacy) {
        expected += std::max(4 - square, 0.0) / 12;
      } else {
        expected += std::pow(std::max(4 - std::sqrt(square), 0.0), 2) / 12;
      }
    }
    EXPECT_NEAR(run.tops[0]->cpu_data()[0], expected, 1e-4);
  }
}

TYPED_TEST(ContrastiveLossLayerTest, GradientOfBothSidesMatchesDifferences) {
  using Dtype = typename TypeParam::Dtype;
  const bool is_double = sizeof(Dtype) == 8;
  for (const char* settings : {"margin: 3", "margin: 3 legacy_version: true"}) {
    auto run = this->Make(settings);
    // The guard in the gradient's denominator makes it differ by 1e-4 over the distance.
    GradientChecker<Dtype> checker(is_double ? 1e-4 : 1e-2, is_double ? 1e-3 : 2e-2);
    checker.CheckGradientExhaustive(run.layer.get(), run.bottoms, run.tops, 0);
    checker.CheckGradientExhaustive(run.layer.get(), run.bottoms, run.tops, 1);
  }
}

TYPED_TEST(ContrastiveLossLayerTest, EqualFeaturesHaveAFiniteGradient) {
  using Dtype = typename TypeParam::Dtype;
  auto run = this->Make("");
  for (int i = 0; i < 2; ++i) caffe_set(18, Dtype(1), run.bottoms[i]->mutable_cpu_data());
  run.SetUp();
  run.Forward();
  run.Backward({true, true, false});
  EXPECT_EQ(DiffOf(*run.bottoms[0]), vector<Dtype>(18, 0));
}

TYPED_TEST(ContrastiveLossLayerTest, FollowsTheBatchSize) {
  using Dtype = typename TypeParam::Dtype;
  auto run = this->Make("");
  run.SetUp();
  run.bottoms[0]->Reshape({2, 3, 1});
  run.bottoms[1]->Reshape({2, 3, 1});
  run.bottoms[2]->Reshape({2, 1});
  caffe_set(2, Dtype(1), run.bottoms[2]->mutable_cpu_data());
  run.Forward();
  double expected = 0;
  for (int i = 0; i < 6; ++i) {
    expected += std::pow(run.bottoms[0]->cpu_data()[i] - run.bottoms[1]->cpu_data()[i], 2) / 4;
  }
  EXPECT_NEAR(run.tops[0]->cpu_data()[0], expected, 1e-4);
}

TYPED_TEST(ContrastiveLossLayerTest, RefusesMisfits) {
  using Dtype = typename TypeParam::Dtype;
  const auto error = [](const vector<vector<int>>& shapes) {
    return ErrorOf([&] { LayerRun<Dtype>("type: 'ContrastiveLoss'", shapes).SetUp(); });
  };
  EXPECT_TRUE(Contains(error({{2, 3}, {2, 4}, {2}}), "same dimensions"));
  EXPECT_TRUE(Contains(error({{2, 3}, {2, 3}, {3}}), "take 2 labels, not 3"));
  EXPECT_TRUE(Contains(error({{2, 3}, {2, 3}}), "exactly 3 bottom"));
  auto run = this->Make("");
  run.SetUp();
  EXPECT_TRUE(Contains(ErrorOf([&] { run.Backward({true, true, true}); }), "no gradient"));
  EXPECT_FALSE(run.layer->AllowForceBackward(2));
  EXPECT_TRUE(run.layer->AllowForceBackward(1));
}

}  // namespace caffe
