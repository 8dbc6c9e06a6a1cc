#include "caffe/util/numerics_check.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <string>

#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_error_util.hpp"
#include "caffe/util/math_functions.hpp"
#include "log_capture.hpp"
#include "solver_test_util.hpp"

namespace caffe {

namespace {

// sqrt(x), a product with a parameter, and a loss: what is no finite number can begin forward or backward.
const char kNet[] = R"(name: 'numbers' force_backward: true
  layer { name: 'in' type: 'Input' top: 'x' top: 'y' input_param { shape { dim: 2 dim: 3 } shape { dim: 2 dim: 1 } } }
  layer { name: 'power' type: 'Power' bottom: 'x' top: 'root' power_param { power: 0.5 } }
  layer { name: 'ip' type: 'InnerProduct' bottom: 'root' top: 'ip'
          inner_product_param { num_output: 1 weight_filler { value: 1 } bias_filler { value: 0 } } }
  layer { name: 'loss' type: 'EuclideanLoss' bottom: 'ip' bottom: 'y' top: 'loss' })";

}  // namespace

template <typename TypeParam>
class NumericsCheckTest : public MultiDeviceTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;

  NumericsCheckTest() : net_(FromText<NetParameter>(kNet)), check_(&net_) {
    caffe_set(6, Dtype(4), x());
    caffe_set(2, Dtype(1), net_.blob_by_name("y")->mutable_cpu_data());
  }

  Dtype* x() { return net_.blob_by_name("x")->mutable_cpu_data(); }
  Dtype* weights() { return net_.params()[0]->mutable_cpu_data(); }
  string RunError() {
    return ErrorOf([this] { net_.ForwardBackward(); });
  }

  static constexpr Dtype kNan = std::numeric_limits<Dtype>::quiet_NaN();
  static constexpr Dtype kInfinity = std::numeric_limits<Dtype>::infinity();

  LogCapture log_;
  Net<Dtype> net_;
  NumericsCheck<Dtype> check_;
};

TYPED_TEST_SUITE(NumericsCheckTest, TestDtypesAndDevices);

TYPED_TEST(NumericsCheckTest, FiniteNumbersPass) {
  typedef typename TypeParam::Dtype Dtype;
  EXPECT_EQ(this->RunError(), "");
  this->check_.CheckParameters();
  // Their sum is no finite number, they are.
  caffe_set(6, std::numeric_limits<Dtype>::max() / 2, this->x());
  caffe_set(3, Dtype(0), this->weights());
  EXPECT_EQ(this->RunError(), "");
  EXPECT_FALSE(this->check_.found());
}

TYPED_TEST(NumericsCheckTest, TheFirstTopIsNamed) {
  this->x()[4] = -1;
  EXPECT_TRUE(Contains(this->RunError(), "layer 'power' (Power): top blob 'root' holds "));
  EXPECT_TRUE(Contains(this->RunError(),
                       "nan at [1, 1], the first of 1 such values among 6, after the forward pass"));
  EXPECT_TRUE(this->check_.found());
  this->x()[0] = this->kInfinity;
  EXPECT_TRUE(Contains(this->RunError(), "layer 'in' (Input): top blob 'x' holds inf at [0, 0]"))
      << "the data";
  this->check_.Restart();
  EXPECT_FALSE(this->check_.found());
}

TYPED_TEST(NumericsCheckTest, ParametersAreTold) {
  this->weights()[2] = this->kNan;
  EXPECT_EQ(this->RunError(),
            "layer 'ip' (InnerProduct): top blob 'ip' holds nan at [0, 0], the first of 2 such values among "
            "2, after the forward pass; such values are in the layer's parameters, too: 0");
  EXPECT_EQ(
      ErrorOf([&] { this->check_.CheckParameters(); }),
      "layer 'ip' (InnerProduct): parameter 0 holds nan at [0, 2], the first of 1 such values among 3, after "
      "the update");
}

TYPED_TEST(NumericsCheckTest, GradientsAreNamed) {
  this->x()[0] = 0;
  // d sqrt(x) / dx is infinite at 0; the values are not.
  EXPECT_TRUE(
      Contains(this->RunError(),
               "layer 'power' (Power): the gradient of bottom blob 'x' holds inf at [0, 0], the first of 1"));

  // A step too far: the loss is finite, but not the gradient of the weights.
  typedef typename TypeParam::Dtype Dtype;
  const Dtype largest = std::numeric_limits<Dtype>::max();
  Net<Dtype> net(FromText<NetParameter>(
      "layer { name: 'in' type: 'Input' top: 'x' top: 'y' input_param { shape { dim: 1 dim: 1 } } }"
      "layer { name: 'ip' type: 'InnerProduct' bottom: 'x' top: 'ip' inner_product_param { num_output: 1 } }"
      "layer { name: 'loss' type: 'EuclideanLoss' bottom: 'ip' bottom: 'y' top: 'loss' loss_weight: 16 }"));
  const NumericsCheck<Dtype> check(&net);
  net.blob_by_name("x")->mutable_cpu_data()[0] = largest / 2;
  net.blob_by_name("y")->mutable_cpu_data()[0] = 1;
  EXPECT_TRUE(Contains(ErrorOf([&] { net.ForwardBackward(); }),
                       "layer 'ip' (InnerProduct): the gradient of parameter 0 holds -inf at [0, 0]"));
}

TYPED_TEST(NumericsCheckTest, OffItLooksAtNothing) {
  this->check_.set_enabled(false);
  this->x()[0] = this->kNan;
  EXPECT_EQ(this->RunError(), "");
  this->check_.CheckParameters();
  EXPECT_FALSE(this->check_.found());
  this->check_.set_enabled(true);
  EXPECT_TRUE(Contains(this->RunError(), "top blob 'x'"));
}

TYPED_TEST(NumericsCheckTest, SolversLookAndSave) {
  typedef typename TypeParam::Dtype Dtype;
  const TempFolder folder;
  SolverParameter param = FromText<SolverParameter>(
      "base_lr: 0.1 lr_policy: 'fixed' check_numerics: true snapshot: 1 test_iter: 1 test_interval: 100 "
      "net_param { " +
      string(kNet) + " }");
  param.set_snapshot_prefix(folder / "s");
  shared_ptr<Net<Dtype>> net;
  {
    const auto solver = MakeSolver<Dtype>(param);
    net = solver->net();
    for (const auto& made : {net, solver->test_nets()[0]}) {
      caffe_set(6, Dtype(1), made->blob_by_name("x")->mutable_cpu_data());
    }
    solver->Step(2);
    net->blob_by_name("x")->mutable_cpu_data()[1] = this->kNan;
    EXPECT_TRUE(Contains(ErrorOf([&] { solver->Step(1); }), "layer 'in' (Input): top blob 'x' holds nan"));
    EXPECT_EQ(folder.Files(), (std::set<string>{"s_iter_1.caffemodel", "s_iter_1.solverstate",
                                                "s_nan_iter_2.caffemodel", "s_nan_iter_2.solverstate"}));
    EXPECT_EQ(this->log_.Count("A value is no finite number at iteration 2: the state is saved in '" +
                               (folder / "s_nan_iter_2.solverstate")),
              1);

    net->blob_by_name("x")->mutable_cpu_data()[1] = 1;
    net->params()[1]->mutable_cpu_data()[0] = this->kNan;
    EXPECT_TRUE(Contains(ErrorOf([&] { solver->Step(1); }), "layer 'ip'"));
  }
  // The net outlives the solver, and still looks.
  EXPECT_TRUE(Contains(ErrorOf([&] { net->Forward(); }), "layer 'ip'"));
}

}  // namespace caffe
