#include <cmath>
#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "layer_test_util.hpp"

namespace caffe {

template <typename TypeParam>
class ReductionLayerTest : public MultiDeviceTest<TypeParam> {
 protected:
  using Dtype = typename TypeParam::Dtype;
  static LayerFixture<Dtype> Make(const string& param, const vector<int>& shape = {2, 3, 2}) {
    return LayerFixture<Dtype>("name: 'r' type: 'Reduction' reduction_param { " + param + " }", shape);
  }
};
TYPED_TEST_SUITE(ReductionLayerTest, TestDtypesAndDevices);

TYPED_TEST(ReductionLayerTest, ReducesTheLastAxes) {
  const auto term = [](const string& op, double x) {
    return op == "ASUM" ? std::fabs(x) : op == "SUMSQ" ? x * x : x;
  };
  for (const string op : {"SUM", "ASUM", "SUMSQ", "MEAN"}) {
    for (int axis = 0; axis < 3; ++axis) {
      auto run = this->Make("operation: " + op + " coeff: -1.5 axis: " + std::to_string(axis));
      run.SetUp();
      run.Forward();
      EXPECT_EQ(run.top.shape(), vector<int>(run.bottom.shape().begin(), run.bottom.shape().begin() + axis));
      const int dim = run.bottom.count(axis);
      for (int n = 0; n < run.top.count(); ++n) {
        double expected = 0;
        for (int i = 0; i < dim; ++i) expected -= 1.5 * term(op, run.bottom.cpu_data()[n * dim + i]);
        EXPECT_NEAR(run.top.cpu_data()[n], op == "MEAN" ? expected / dim : expected, 1e-5) << op << axis;
      }
    }
  }
}

TYPED_TEST(ReductionLayerTest, SumsEverythingByDefault) {
  LayerFixture<typename TypeParam::Dtype> run("type: 'Reduction'", {50, 41});
  for (int i = 0; i < 2050; ++i) run.bottom.mutable_cpu_data()[i] = i % 3;
  run.SetUp();
  run.Forward();
  EXPECT_EQ(run.top.num_axes(), 0);
  EXPECT_EQ(run.top.cpu_data()[0], 2049);
}

TYPED_TEST(ReductionLayerTest, GradientMatchesDifferences) {
  using Dtype = typename TypeParam::Dtype;
  for (const string op : {"SUM", "ASUM", "SUMSQ", "MEAN"}) {
    for (const char* axis : {"0", "-1"}) {
      auto run = this->Make("operation: " + op + " coeff: 2.5 axis: " + axis);
      CheckerFor<Dtype>(0, Dtype(0.05)).CheckGradientExhaustive(run.layer.get(), run.bottoms, run.tops);
    }
  }
}

TYPED_TEST(ReductionLayerTest, MagnitudesHaveNoSlopeAtZero) {
  using Dtype = typename TypeParam::Dtype;
  auto run = this->Make("operation: ASUM", {3});
  for (int i = 0; i < 3; ++i) run.bottom.mutable_cpu_data()[i] = Dtype(i - 1);
  run.SetUp();
  run.Forward();
  run.top.mutable_cpu_diff()[0] = 2;
  run.Backward();
  EXPECT_EQ(DiffOf(run.bottom), (vector<Dtype>{-2, 0, 2}));
}

TYPED_TEST(ReductionLayerTest, RefusesAxesThatAreNotThere) {
  auto run = this->Make("axis: 3");
  EXPECT_TRUE(Contains(ErrorOf([&] { run.SetUp(); }), "layer 'r' (Reduction)"));
}

}  // namespace caffe
