#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_gradient_check_util.hpp"
#include "layer_test_util.hpp"

namespace caffe {

/// Scale, Bias, PReLU, Eltwise, Dropout, Swish and LRN.
template <typename TypeParam>
class ChannelLayersTest : public MultiDeviceTest<TypeParam> {
 protected:
  using Dtype = typename TypeParam::Dtype;

  /// Runs forward and backward once apart and once in place, from the same state, and compares.
  static void ExpectInPlaceEqual(const string& text, const vector<int>& shape) {
    LayerFixture<Dtype> apart(text, shape);
    Caffe::set_random_seed(3);
    apart.SetUp();
    for (const auto& blob : apart.layer->blobs()) FillNormal(blob.get());
    Blob<Dtype> together, gradient(shape);
    together.CopyFrom(apart.bottom, false, true);
    FillNormal(&gradient);
    const auto layer = MakeLayer<Dtype>(text);
    layer->SetUp({&together}, {&together});
    for (size_t i = 0; i < layer->blobs().size(); ++i) layer->blobs()[i]->CopyFrom(*apart.layer->blobs()[i]);
    Caffe::set_random_seed(7);
    apart.Forward();
    Caffe::set_random_seed(7);
    layer->Forward({&together}, {&together});
    EXPECT_EQ(DataOf(together), DataOf(apart.top));
    std::copy_n(gradient.cpu_data(), gradient.count(), apart.top.mutable_cpu_diff());
    std::copy_n(gradient.cpu_data(), gradient.count(), together.mutable_cpu_diff());
    apart.Backward();
    layer->Backward({&together}, {true}, {&together});
    EXPECT_EQ(DiffOf(together), DiffOf(apart.bottom));
    for (size_t i = 0; i < layer->blobs().size(); ++i) {
      EXPECT_EQ(DiffOf(*layer->blobs()[i]), DiffOf(*apart.layer->blobs()[i]));
    }
  }
};
TYPED_TEST_SUITE(ChannelLayersTest, TestDtypesAndDevices);

TYPED_TEST(ChannelLayersTest, ScaleAndBiasCoverAxes) {
  using Dtype = typename TypeParam::Dtype;
  const struct {
    const char* axes;
    vector<int> shape;
    int inner;
  } cases[] = {{"", {3}, 8},
               {"axis: 0", {2}, 24},
               {"axis: 1 num_axes: 2", {3, 4}, 2},
               {"axis: -1", {2}, 1},
               {"axis: 0 num_axes: -1", {2, 3, 4, 2}, 1},
               {"num_axes: 0", {}, 24}};
  for (const auto& c : cases) {
    SCOPED_TRACE(c.axes);
    LayerFixture<Dtype> scale(
        string("type: 'Scale' scale_param { bias_term: true filler { type: 'gaussian' } "
               "bias_filler { type: 'gaussian' } ") +
            c.axes + " }",
        {2, 3, 4, 2});
    scale.SetUp();
    ASSERT_EQ(scale.blob(0).shape(), c.shape);
    ASSERT_EQ(scale.blob(1).shape(), c.shape);
    scale.Forward();
    LayerFixture<Dtype> bias(string("type: 'Bias' bias_param { filler { type: 'gaussian' } ") + c.axes + " }",
                             {2, 3, 4, 2});
    bias.SetUp();
    bias.Forward();
    for (int i = 0; i < 48; ++i) {
      // Without axes the parameter is one number.
      const int k = c.shape.empty() ? 0 : i / c.inner % scale.blob(0).count();
      EXPECT_NEAR(scale.top.cpu_data()[i],
                  scale.bottom.cpu_data()[i] * scale.blob(0).cpu_data()[k] + scale.blob(1).cpu_data()[k],
                  1e-5);
      EXPECT_NEAR(bias.top.cpu_data()[i], bias.bottom.cpu_data()[i] + bias.blob(0).cpu_data()[k], 1e-6);
    }
    CheckerFor<Dtype>().CheckGradient(scale.layer.get(), scale.bottoms, scale.tops);
    CheckerFor<Dtype>().CheckGradient(bias.layer.get(), bias.bottoms, bias.tops);
  }
}

TYPED_TEST(ChannelLayersTest, ScaleStartsAtOneAndBiasAtZero) {
  using Dtype = typename TypeParam::Dtype;
  LayerFixture<Dtype> scale("type: 'Scale' scale_param { bias_term: true }", {2, 3});
  scale.SetUp();
  EXPECT_EQ(DataOf(scale.blob(0)), vector<Dtype>(3, 1));
  EXPECT_EQ(DataOf(scale.blob(1)), vector<Dtype>(3, 0));
}

TYPED_TEST(ChannelLayersTest, FactorAsSecondBottom) {
  using Dtype = typename TypeParam::Dtype;
  for (const char* text :
       {"type: 'Scale'", "type: 'Scale' scale_param { bias_term: true }", "type: 'Bias'"}) {
    for (const vector<int>& shape : {vector<int>{3, 2}, vector<int>{3}, vector<int>{}}) {
      Blob<Dtype> x({2, 3, 2}), factor(shape), top;
      FillNormal(&x);
      FillNormal(&factor);
      const auto layer = MakeLayer<Dtype>(text);
      CheckerFor<Dtype>().CheckGradient(layer.get(), {&x, &factor}, {&top});
      layer->Forward({&x, &factor}, {&top});
      const bool scales = string(text).find("Scale") != string::npos;
      const int k = factor.count() == 6 ? 3 : (factor.count() == 3 ? 1 : 0);
      const double expected =
          scales ? x.cpu_data()[9] * factor.cpu_data()[k] : x.cpu_data()[9] + factor.cpu_data()[k];
      EXPECT_NEAR(top.cpu_data()[9], expected, 1e-5);
    }
  }
}

TYPED_TEST(ChannelLayersTest, FactorMisfitsAreRefused) {
  using Dtype = typename TypeParam::Dtype;
  Blob<Dtype> x({2, 3, 2}), wrong(vector<int>{4}), deep({3, 2, 5}), top;
  const auto error = [&](const char* text, Blob<Dtype>* factor) {
    return ErrorOf([&] { MakeLayer<Dtype>(text)->SetUp({&x, factor}, {&top}); });
  };
  EXPECT_NE(error("type: 'Scale'", &wrong).find("must agree"), string::npos);
  EXPECT_NE(error("type: 'Bias'", &deep).find("last axis"), string::npos);
  for (const char* axes : {"axis: 2 num_axes: 2", "num_axes: 2147483647"}) {
    const auto layer = MakeLayer<Dtype>(string("type: 'Scale' scale_param { ") + axes + " }");
    EXPECT_NE(ErrorOf([&] { layer->SetUp({&x}, {&top}); }).find("last axis"), string::npos) << axes;
  }
}

TYPED_TEST(ChannelLayersTest, InPlaceEqualsOutOfPlace) {
  for (const char* text : {"type: 'Scale' scale_param { bias_term: true }", "type: 'Bias'", "type: 'PReLU'",
                           "type: 'PReLU' prelu_param { channel_shared: true }", "type: 'Swish'",
                           "phase: TRAIN type: 'Dropout'"}) {
    SCOPED_TRACE(text);
    this->ExpectInPlaceEqual(text, {3, 4, 5});
  }
}

TYPED_TEST(ChannelLayersTest, PReLU) {
  using Dtype = typename TypeParam::Dtype;
  for (const char* param : {"", "prelu_param { channel_shared: true filler { value: 0.1 } }"}) {
    LayerFixture<Dtype> fixture(string("type: 'PReLU' ") + param, {2, 3, 4});
    fixture.SetUp();
    const bool shared = *param;
    ASSERT_EQ(fixture.blob(0).count(), shared ? 1 : 3);
    if (!shared) {
      EXPECT_EQ(fixture.blob(0).cpu_data()[2], Dtype(0.25));
      fixture.blob(0).mutable_cpu_data()[1] = Dtype(-0.5);
    }
    fixture.Forward();
    for (int i = 0; i < 24; ++i) {
      const Dtype x = fixture.bottom.cpu_data()[i];
      const Dtype slope = fixture.blob(0).cpu_data()[shared ? 0 : i / 4 % 3];
      EXPECT_NEAR(fixture.top.cpu_data()[i], x > 0 ? x : slope * x, 1e-6);
    }
    const auto layer = MakeLayer<Dtype>(string("type: 'PReLU' ") + param);
    CheckerFor<Dtype>(0, Dtype(0.011)).CheckGradient(layer.get(), fixture.bottoms, fixture.tops);
  }
  Blob<Dtype> flat(vector<int>{4}), top;
  const auto layer = MakeLayer<Dtype>("type: 'PReLU'");
  EXPECT_NE(ErrorOf([&] { layer->SetUp({&flat}, {&top}); }).find("channel axis"), string::npos);
}

TYPED_TEST(ChannelLayersTest, Swish) {
  using Dtype = typename TypeParam::Dtype;
  LayerFixture<Dtype> fixture("type: 'Swish' swish_param { beta: 1.5 }", {2, 7});
  fixture.SetUp();
  fixture.Forward();
  for (int i = 0; i < 14; ++i) {
    const double x = fixture.bottom.cpu_data()[i];
    EXPECT_NEAR(fixture.top.cpu_data()[i], x / (1 + std::exp(-1.5 * x)), 1e-5);
  }
  CheckerFor<Dtype>().CheckGradientEltwise(fixture.layer.get(), fixture.bottoms, fixture.tops);
}

TYPED_TEST(ChannelLayersTest, DropoutKeepsTheMean) {
  using Dtype = typename TypeParam::Dtype;
  LayerFixture<Dtype> train("phase: TRAIN type: 'Dropout' dropout_param { dropout_ratio: 0.3 }", {100, 100});
  caffe_set(10000, Dtype(1), train.bottom.mutable_cpu_data());
  Caffe::set_random_seed(1);
  train.SetUp();
  train.Forward();
  int dropped = 0;
  for (int i = 0; i < 10000; ++i) {
    const Dtype y = train.top.cpu_data()[i];
    dropped += y == 0;
    EXPECT_TRUE(y == 0 || std::fabs(y - 1 / 0.7) < 1e-5) << y;
  }
  // Five standard deviations.
  EXPECT_NEAR(dropped, 3000, 230);
  LayerFixture<Dtype> test("phase: TEST type: 'Dropout'", {3, 4});
  test.SetUp();
  test.Forward();
  EXPECT_EQ(DataOf(test.top), DataOf(test.bottom));
  LayerFixture<Dtype> gradient("phase: TRAIN type: 'Dropout'", {3, 4});
  CheckerFor<Dtype>().CheckGradientEltwise(gradient.layer.get(), gradient.bottoms, gradient.tops);
  LayerFixture<Dtype> bad("type: 'Dropout' dropout_param { dropout_ratio: 1 }", {2});
  EXPECT_NE(ErrorOf([&] { bad.SetUp(); }).find("dropout_ratio"), string::npos);
}

TYPED_TEST(ChannelLayersTest, Eltwise) {
  using Dtype = typename TypeParam::Dtype;
  Blob<Dtype> a({2, 5}), b({2, 5}), c({2, 5}), top;
  FillNormal(&a);
  FillNormal(&b);
  FillNormal(&c);
  const vector<Blob<Dtype>*> bottoms = {&a, &b, &c};
  const struct {
    const char* param;
    double (*function)(double, double, double);
  } cases[] = {
      {"", [](double x, double y, double z) { return x + y + z; }},
      {"coeff: 1.5 coeff: -0.5 coeff: 2",
       [](double x, double y, double z) { return 1.5 * x - 0.5 * y + 2 * z; }},
      {"operation: PROD", [](double x, double y, double z) { return x * y * z; }},
      {"operation: PROD stable_prod_grad: false", [](double x, double y, double z) { return x * y * z; }},
      {"operation: MAX", [](double x, double y, double z) { return std::max({x, y, z}); }}};
  for (const auto& each : cases) {
    SCOPED_TRACE(each.param);
    const auto layer = MakeLayer<Dtype>(string("type: 'Eltwise' eltwise_param { ") + each.param + " }");
    layer->SetUp(bottoms, {&top});
    layer->Forward(bottoms, {&top});
    for (int i = 0; i < 10; ++i) {
      EXPECT_NEAR(top.cpu_data()[i], each.function(a.cpu_data()[i], b.cpu_data()[i], c.cpu_data()[i]), 1e-5);
    }
    const bool is_double = sizeof(Dtype) == 8;
    GradientChecker<Dtype> checker(is_double ? 1e-6 : 1e-3, is_double ? 1e-6 : 2e-2);
    checker.CheckGradientExhaustive(layer.get(), bottoms, {&top});
  }
}

// As in Caffe on a CPU: of the first two to the second, of later ones to none.
TYPED_TEST(ChannelLayersTest, EltwiseMaximumGivesTiesAsCaffeDoes) {
  using Dtype = typename TypeParam::Dtype;
  const vector<vector<Dtype>> values = {{0, 2, 1, 0}, {0, 1, 2, 1}, {0, 2, 2, 1}};
  const vector<vector<Dtype>> gradients = {{0, 5, 0, 0}, {5, 0, 5, 5}, {0, 0, 0, 0}};
  Blob<Dtype> bottoms[3], top;
  vector<Blob<Dtype>*> all;
  for (int i = 0; i < 3; ++i) {
    bottoms[i].Reshape({4});
    std::copy(values[i].begin(), values[i].end(), bottoms[i].mutable_cpu_data());
    all.push_back(&bottoms[i]);
  }
  const auto layer = MakeLayer<Dtype>("type: 'Eltwise' eltwise_param { operation: MAX }");
  layer->SetUp(all, {&top});
  layer->Forward(all, {&top});
  EXPECT_EQ(DataOf(top), (vector<Dtype>{0, 2, 2, 1}));
  caffe_set(4, Dtype(5), top.mutable_cpu_diff());
  layer->Backward({&top}, {true, true, true}, all);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(DiffOf(bottoms[i]), gradients[i]) << "bottom " << i;
}

TYPED_TEST(ChannelLayersTest, EltwiseRefusesMisfits) {
  using Dtype = typename TypeParam::Dtype;
  Blob<Dtype> a({2, 5}), b({2, 4}), top;
  const auto error = [&](const char* param, Blob<Dtype>* other) {
    return ErrorOf([&] {
      MakeLayer<Dtype>(string("type: 'Eltwise' eltwise_param { ") + param + " }")->SetUp({&a, other}, {&top});
    });
  };
  EXPECT_NE(error("", &b).find("same shape"), string::npos);
  EXPECT_NE(error("coeff: 1", &a).find("coeff"), string::npos);
  EXPECT_NE(error("operation: PROD coeff: 1 coeff: 2", &a).find("SUM"), string::npos);
  const auto layer = MakeLayer<Dtype>("type: 'Eltwise'");
  EXPECT_NE(ErrorOf([&] { layer->SetUp({&top, &a}, {&top}); }).find("same shape"), string::npos);
  top.ReshapeLike(a);
  EXPECT_NE(ErrorOf([&] { layer->SetUp({&top, &a}, {&top}); }).find("in place"), string::npos);
}

TYPED_TEST(ChannelLayersTest, LRNAcrossChannels) {
  using Dtype = typename TypeParam::Dtype;
  // The usual beta has a way of its own.
  for (const string beta : {"0.75", "0.6"}) {
    LayerFixture<Dtype> fixture(
        "type: 'LRN' lrn_param { local_size: 5 alpha: 0.5 k: 1.5 beta: " + beta + " }", {2, 7, 2, 3});
    fixture.SetUp();
    fixture.Forward();
    for (int n = 0; n < 2; ++n) {
      for (int c = 0; c < 7; ++c) {
        for (int i = 0; i < 6; ++i) {
          double scale = 1.5;
          for (int j = std::max(c - 2, 0); j <= std::min(c + 2, 6); ++j) {
            scale += 0.1 * std::pow(fixture.bottom.cpu_data()[(n * 7 + j) * 6 + i], 2);
          }
          const int at = (n * 7 + c) * 6 + i;
          EXPECT_NEAR(fixture.top.cpu_data()[at],
                      fixture.bottom.cpu_data()[at] * std::pow(scale, -std::stod(beta)), 1e-5);
        }
      }
    }
    CheckerFor<Dtype>().CheckGradientExhaustive(fixture.layer.get(), fixture.bottoms, fixture.tops);
  }
}

TYPED_TEST(ChannelLayersTest, LRNWithinChannel) {
  using Dtype = typename TypeParam::Dtype;
  LayerFixture<Dtype> fixture(
      "type: 'LRN' lrn_param { local_size: 3 alpha: 0.4 beta: 0.75 norm_region: WITHIN_CHANNEL }",
      {1, 2, 4, 5});
  fixture.SetUp();
  fixture.Forward();
  for (int c = 0; c < 2; ++c) {
    for (int h = 0; h < 4; ++h) {
      for (int w = 0; w < 5; ++w) {
        double sum = 0;
        for (int y = std::max(h - 1, 0); y <= std::min(h + 1, 3); ++y) {
          for (int x = std::max(w - 1, 0); x <= std::min(w + 1, 4); ++x) {
            sum += std::pow(fixture.bottom.data_at(0, c, y, x), 2);
          }
        }
        EXPECT_NEAR(fixture.top.data_at(0, c, h, w),
                    fixture.bottom.data_at(0, c, h, w) * std::pow(1 + 0.4 / 9 * sum, -0.75), 1e-5);
      }
    }
  }
  CheckerFor<Dtype>().CheckGradientExhaustive(fixture.layer.get(), fixture.bottoms, fixture.tops);
}

TYPED_TEST(ChannelLayersTest, LRNRefusesBadInput) {
  using Dtype = typename TypeParam::Dtype;
  LayerFixture<Dtype> even("type: 'LRN' lrn_param { local_size: 4 }", {1, 2, 3, 3});
  EXPECT_NE(ErrorOf([&] { even.SetUp(); }).find("odd"), string::npos);
  LayerFixture<Dtype> flat("type: 'LRN'", {1, 2});
  EXPECT_NE(ErrorOf([&] { flat.SetUp(); }).find("4 axes"), string::npos);
}

}  // namespace caffe
