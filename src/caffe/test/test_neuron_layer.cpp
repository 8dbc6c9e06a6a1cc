#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_gradient_check_util.hpp"
#include "layer_test_util.hpp"

namespace caffe {

namespace {

struct Neuron {
  const char* text;
  std::function<double(double)> function;
  /// Where the function has a kink, left out of the gradient check.
  double kink;
  bool positive_input;
};

const std::vector<Neuron>& Neurons() {
  static const std::vector<Neuron> neurons = {
      {"type: 'ReLU'", [](double x) { return x > 0 ? x : 0; }, 0, false},
      {"type: 'ReLU' relu_param { negative_slope: 0.2 }", [](double x) { return x > 0 ? x : 0.2 * x; }, 0,
       false},
      {"type: 'Sigmoid'", [](double x) { return 1 / (1 + std::exp(-x)); }, -1, false},
      {"type: 'TanH'", [](double x) { return std::tanh(x); }, -1, false},
      {"type: 'AbsVal'", [](double x) { return std::fabs(x); }, 0, false},
      {"type: 'BNLL'", [](double x) { return std::log(1 + std::exp(x)); }, -1, false},
      {"type: 'ELU' elu_param { alpha: 0.7 }", [](double x) { return x > 0 ? x : 0.7 * (std::exp(x) - 1); },
       0, false},
      {"type: 'Exp'", [](double x) { return std::exp(x); }, -1, false},
      {"type: 'Exp' exp_param { base: 2 scale: 0.5 shift: 0.3 }",
       [](double x) { return std::pow(2, 0.3 + 0.5 * x); }, -1, false},
      {"type: 'Log'", [](double x) { return std::log(x); }, -1, true},
      {"type: 'Log' log_param { base: 10 scale: 2 shift: 0.5 }",
       [](double x) { return std::log10(0.5 + 2 * x); }, -1, true},
      {"type: 'Power'", [](double x) { return x; }, -1, false},
      {"type: 'Power' power_param { power: 2 scale: 0.5 shift: 0.7 }",
       [](double x) { return std::pow(0.7 + 0.5 * x, 2); }, -1, false},
      {"type: 'Power' power_param { power: 3 scale: -0.5 shift: 0.7 }",
       [](double x) { return std::pow(0.7 - 0.5 * x, 3); }, -1, false},
      {"type: 'Power' power_param { power: 0.37 scale: 0.8 shift: 0.1 }",
       [](double x) { return std::pow(0.1 + 0.8 * x, 0.37); }, -1, true},
      {"type: 'Power' power_param { power: 0 }", [](double) { return 1.0; }, -1, false},
      {"type: 'Clip' clip_param { min: -0.5 max: 0.5 }",
       [](double x) { return std::min(0.5, std::max(-0.5, x)); }, 0.5, false},
  };
  return neurons;
}

void MakePositive(bool positive, Blob<float>* blob) {
  for (int i = 0; positive && i < blob->count(); ++i) {
    blob->mutable_cpu_data()[i] = std::fabs(blob->cpu_data()[i]) + 0.1f;
  }
}

void MakePositive(bool positive, Blob<double>* blob) {
  for (int i = 0; positive && i < blob->count(); ++i) {
    blob->mutable_cpu_data()[i] = std::fabs(blob->cpu_data()[i]) + 0.1;
  }
}

}  // namespace

template <typename TypeParam>
class NeuronLayerTest : public MultiDeviceTest<TypeParam> {};
TYPED_TEST_SUITE(NeuronLayerTest, TestDtypesAndDevices);

TYPED_TEST(NeuronLayerTest, ForwardIsTheFunction) {
  using Dtype = typename TypeParam::Dtype;
  for (const Neuron& neuron : Neurons()) {
    SCOPED_TRACE(neuron.text);
    LayerFixture<Dtype> fixture(neuron.text, {3, 5, 7});
    MakePositive(neuron.positive_input, &fixture.bottom);
    fixture.SetUp();
    fixture.Forward();
    ASSERT_EQ(fixture.top.shape(), fixture.bottom.shape());
    for (int i = 0; i < fixture.bottom.count(); ++i) {
      const double expected = neuron.function(fixture.bottom.cpu_data()[i]);
      ASSERT_NEAR(fixture.top.cpu_data()[i], expected, 1e-5 * (1 + std::fabs(expected)));
    }
  }
}

TYPED_TEST(NeuronLayerTest, GradientMatchesDifferences) {
  using Dtype = typename TypeParam::Dtype;
  const bool is_double = sizeof(Dtype) == 8;
  for (const Neuron& neuron : Neurons()) {
    SCOPED_TRACE(neuron.text);
    LayerFixture<Dtype> fixture(neuron.text, {2, 3, 3});
    MakePositive(neuron.positive_input, &fixture.bottom);
    GradientChecker<Dtype> checker(is_double ? 1e-4 : 1e-2, is_double ? 1e-6 : 2e-2, 1701,
                                   std::max(neuron.kink, 0.0), neuron.kink >= 0 ? 0.011 : -1);
    checker.CheckGradientEltwise(fixture.layer.get(), fixture.bottoms, fixture.tops);
  }
}

TYPED_TEST(NeuronLayerTest, LongArraysOnSeveralThreads) {
  using Dtype = typename TypeParam::Dtype;
  ThreadsForTest threads(3);
  LayerFixture<Dtype> fixture("type: 'TanH'", {1, 100003});
  fixture.SetUp();
  fixture.Forward();
  for (int i = 0; i < fixture.bottom.count(); ++i) {
    ASSERT_NEAR(fixture.top.cpu_data()[i], std::tanh(fixture.bottom.cpu_data()[i]), 1e-6);
  }
}

TYPED_TEST(NeuronLayerTest, InPlaceGradientEqualsOutOfPlace) {
  using Dtype = typename TypeParam::Dtype;
  for (const char* text :
       {"type: 'ReLU' relu_param { negative_slope: 0.2 }", "type: 'Sigmoid'", "type: 'TanH'", "type: 'BNLL'",
        "type: 'ELU'", "type: 'Exp'", "type: 'Power'",
        "type: 'Power' power_param { power: 2 scale: 3 shift: 1 }",
        "type: 'Clip' clip_param { min: -0.3 max: 0.6 }", "type: 'Log' log_param { shift: 9 }"}) {
    SCOPED_TRACE(text);
    LayerFixture<Dtype> apart(text, {4, 6});
    Blob<Dtype> together;
    together.CopyFrom(apart.bottom, false, true);
    apart.SetUp();
    apart.Forward();
    FillNormal(&apart.top);
    std::copy_n(apart.top.cpu_data(), apart.top.count(), apart.top.mutable_cpu_diff());
    together.ReshapeLike(apart.bottom);
    std::copy_n(apart.top.cpu_diff(), apart.top.count(), together.mutable_cpu_diff());
    apart.Forward();
    apart.Backward();
    const auto layer = MakeLayer<Dtype>(text);
    layer->SetUp({&together}, {&together});
    layer->Forward({&together}, {&together});
    layer->Backward({&together}, {true}, {&together});
    ExpectNear(DiffOf(together), DiffOf(apart.bottom), 1e-6);
  }
}

TYPED_TEST(NeuronLayerTest, RefusesWhatCannotWork) {
  using Dtype = typename TypeParam::Dtype;
  Blob<Dtype> blob(vector<int>{2, 2});
  const auto in_place = [&](const char* text) {
    return ErrorOf([&] {
      const auto layer = MakeLayer<Dtype>(text);
      layer->SetUp({&blob}, {&blob});
      layer->Forward({&blob}, {&blob});
      layer->Backward({&blob}, {true}, {&blob});
    });
  };
  EXPECT_NE(in_place("name: 'a' type: 'AbsVal'").find("layer 'a' (AbsVal)"), string::npos);
  LayerFixture<Dtype> clip("type: 'Clip' clip_param { min: 1 max: 0 }", {2});
  EXPECT_NE(ErrorOf([&] { clip.SetUp(), clip.Forward(); }).find("clip_param.min"), string::npos);
  LayerFixture<Dtype> threshold("type: 'Threshold' threshold_param { threshold: 0.3 }", {2});
  threshold.SetUp();
  EXPECT_NE(ErrorOf([&] { threshold.Backward(); }).find("no gradient"), string::npos);
}

TYPED_TEST(NeuronLayerTest, ThresholdSteps) {
  using Dtype = typename TypeParam::Dtype;
  LayerFixture<Dtype> fixture("type: 'Threshold' threshold_param { threshold: 0.5 }", {3});
  const Dtype values[] = {Dtype(0.4), Dtype(0.5), Dtype(0.6)};
  std::copy_n(values, 3, fixture.bottom.mutable_cpu_data());
  fixture.SetUp();
  fixture.Forward();
  EXPECT_EQ(DataOf(fixture.top), (vector<Dtype>{0, 0, 1}));
}

TYPED_TEST(NeuronLayerTest, LargeInputsStayFinite) {
  using Dtype = typename TypeParam::Dtype;
  for (const char* text : {"type: 'Sigmoid'", "type: 'BNLL'"}) {
    LayerFixture<Dtype> fixture(text, {2});
    fixture.bottom.mutable_cpu_data()[0] = 1000;
    fixture.bottom.mutable_cpu_data()[1] = -1000;
    fixture.SetUp();
    fixture.Forward();
    EXPECT_EQ(fixture.top.cpu_data()[0], text[7] == 'S' ? 1 : 1000);
    EXPECT_EQ(fixture.top.cpu_data()[1], 0);
  }
}

}  // namespace caffe
