#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "layer_test_util.hpp"

namespace caffe {

template <typename TypeParam>
class HingeLossLayerTest : public MultiDeviceTest<TypeParam> {
 protected:
  using Dtype = typename TypeParam::Dtype;
  static LayerRun<Dtype> Make(const string& norm) {
    LayerRun<Dtype> run("name: 'hinge' type: 'HingeLoss' hinge_loss_param { " + norm + " }",
                        {{5, 3, 1}, {5}});
    run.SetBottom(1, {0, 2, 1, 1, 2});
    return run;
  }
};
TYPED_TEST_SUITE(HingeLossLayerTest, TestDtypesAndDevices);

TYPED_TEST(HingeLossLayerTest, AddsUpMissedMargins) {
  for (const bool squared : {false, true}) {
    auto run = this->Make(squared ? "norm: L2" : "");
    run.SetUp();
    run.Forward();
    double expected = 0;
    for (int i = 0; i < 15; ++i) {
      const int target = run.bottoms[1]->cpu_data()[i / 3] == i % 3 ? 1 : -1;
      const double missed = std::max(0.0, 1.0 - target * run.bottoms[0]->cpu_data()[i]);
      expected += (squared ? missed * missed : missed) / 5;
    }
    EXPECT_NEAR(run.tops[0]->cpu_data()[0], expected, 1e-5);
  }
}

TYPED_TEST(HingeLossLayerTest, GradientMatchesDifferences) {
  using Dtype = typename TypeParam::Dtype;
  for (const char* norm : {"norm: L1", "norm: L2"}) {
    auto run = this->Make(norm);
    // The kink is where a score is 1 or -1.
    CheckerFor<Dtype>(1, Dtype(0.011)).CheckGradientExhaustive(run.layer.get(), run.bottoms, run.tops, 0);
  }
}

TYPED_TEST(HingeLossLayerTest, ForwardLeavesGradientsAlone) {
  using Dtype = typename TypeParam::Dtype;
  auto run = this->Make("");
  run.SetUp();
  caffe_set(15, Dtype(7), run.bottoms[0]->mutable_cpu_diff());
  run.Forward();
  EXPECT_EQ(DiffOf(*run.bottoms[0]), vector<Dtype>(15, 7));
}

TYPED_TEST(HingeLossLayerTest, RefusesBadLabels) {
  using Dtype = typename TypeParam::Dtype;
  auto run = this->Make("");
  run.SetUp();
  run.bottoms[1]->mutable_cpu_data()[3] = 3;
  const string error = ErrorOf([&] { run.Forward(); });
  EXPECT_TRUE(Contains(error, "layer 'hinge' (HingeLoss)"));
  EXPECT_TRUE(Contains(error, "wrong label 3 at position 3"));
  EXPECT_TRUE(Contains(error, "from 0 to 2"));
  EXPECT_TRUE(Contains(ErrorOf([&] { run.Backward({false, true}); }), "no gradient"));
  LayerRun<Dtype> many("type: 'HingeLoss'", {{5, 3}, {5, 2}});
  EXPECT_TRUE(Contains(ErrorOf([&] { many.SetUp(); }), "take 5 labels, not 10"));
}

}  // namespace caffe
