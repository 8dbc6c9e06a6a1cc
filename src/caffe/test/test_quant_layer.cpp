#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "caffe/layers/quant_layer.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_gradient_check_util.hpp"
#include "caffe/util/math_functions.hpp"
#include "layer_test_util.hpp"

namespace caffe {

namespace {

string QuantText(const string& settings) {
  return "name: 'qt' type: 'Quant' quant_param { " + settings + " }";
}

// The definition, word for word.
double Hwgq(double x, double negative_slope, const vector<float>& centers) {
  if (x <= 0) return -negative_slope;
  for (size_t j = 0; j + 1 < centers.size(); ++j) {
    if (x <= (static_cast<double>(centers[j]) + centers[j + 1]) / 2) return centers[j];
  }
  return centers.back();
}

// A number in place of NaN, which does not equal itself.
template <typename Dtype>
vector<Dtype> WithoutNan(vector<Dtype> values) {
  std::replace_if(values.begin(), values.end(), [](Dtype value) { return std::isnan(value); }, Dtype(1234));
  return values;
}

string CentersText(const vector<float>& centers) {
  string text;
  for (const float center : centers) text += "centers: " + std::to_string(center) + " ";
  return text;
}

}  // namespace

template <typename TypeParam>
class QuantLayerTest : public MultiDeviceTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;
  QuantLayerTest() { Caffe::set_random_seed(1701); }

  static constexpr Dtype kNan = std::numeric_limits<Dtype>::quiet_NaN();
  static constexpr Dtype kInfinity = std::numeric_limits<Dtype>::infinity();

  vector<Dtype> Forward(const string& settings, const vector<Dtype>& values) {
    LayerFixture<Dtype> quant(QuantText(settings), {static_cast<int>(values.size())});
    std::copy(values.begin(), values.end(), quant.bottom.mutable_cpu_data());
    quant.SetUp();
    quant.Forward();
    return DataOf(quant.top);
  }

  // Gradient by each value where all of the top have gradient 2.
  vector<Dtype> Backward(const string& settings, const vector<Dtype>& values) {
    LayerFixture<Dtype> quant(QuantText(settings), {static_cast<int>(values.size())});
    std::copy(values.begin(), values.end(), quant.bottom.mutable_cpu_data());
    quant.SetUp();
    quant.Forward();
    caffe_set(quant.top.count(), Dtype(2), quant.top.mutable_cpu_diff());
    quant.Backward();
    return DiffOf(quant.bottom);
  }

  string SetUpError(const string& settings) {
    return ErrorOf([&] { LayerFixture<Dtype>(QuantText(settings), {2, 3}).SetUp(); });
  }
};

TYPED_TEST_SUITE(QuantLayerTest, TestDtypesAndDevices);

TYPED_TEST(QuantLayerTest, HwgqGivesTheNearestCenter) {
  typedef typename TypeParam::Dtype Dtype;
  // All the ways in which the layer holds its centers.
  for (const int count : {1, 2, 3, 4, 7, 8, 15, 16, 40}) {
    vector<float> centers;
    for (int j = 0; j < count; ++j)
      centers.push_back(0.25f * static_cast<float>(j + 1) + (j % 2 ? 0.125f : 0.0f));
    LayerFixture<Dtype> quant(QuantText(CentersText(centers) + "negative_slope: 0.25"), {3, 5, 7, 11});
    for (int i = 0; i < quant.bottom.count(); ++i) quant.bottom.mutable_cpu_data()[i] *= Dtype(count) / 4;
    quant.SetUp();
    quant.Forward();
    for (int i = 0; i < quant.bottom.count(); ++i) {
      const double x = quant.bottom.cpu_data()[i];
      ASSERT_EQ(quant.top.cpu_data()[i], Hwgq(x, 0.25, centers)) << count << " centers, x = " << x;
    }
  }
}

TYPED_TEST(QuantLayerTest, HwgqAtItsEdges) {
  typedef typename TypeParam::Dtype Dtype;
  const Dtype tiny = std::numeric_limits<Dtype>::denorm_min();
  const Dtype threshold = 0.75;
  const vector<Dtype> values = {
      0,    Dtype(-0.0),     -tiny,           tiny, threshold, std::nextafter(threshold, Dtype(2)), 1,
      1000, this->kInfinity, -this->kInfinity};
  EXPECT_EQ(this->Forward("centers: 0.5 centers: 1", values),
            vector<Dtype>({0, 0, 0, 0.5, 0.5, 1, 1, 1, 1, 0}));
  EXPECT_EQ(this->Forward("centers: 0.5", values), vector<Dtype>({0, 0, 0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0}));
  EXPECT_EQ(this->Forward("centers: 0.5 centers: 1 negative_slope: 0.125", values),
            vector<Dtype>({-0.125, -0.125, -0.125, 0.5, 0.5, 1, 1, 1, 1, -0.125}));
}

TYPED_TEST(QuantLayerTest, OtherForwardFunctions) {
  typedef typename TypeParam::Dtype Dtype;
  const vector<Dtype> values = {-3, -1, -0.5, Dtype(-0.0), 0, 0.5, 1, 3, this->kInfinity, -this->kInfinity};
  EXPECT_EQ(this->Forward("forward_func: 'sign'", values), vector<Dtype>({-1, -1, -1, 1, 1, 1, 1, 1, 1, -1}));
  EXPECT_EQ(this->Forward("forward_func: 'hard_tanh'", values),
            vector<Dtype>({-1, -1, -0.5, 0, 0, 0.5, 1, 1, 1, -1}));
  EXPECT_EQ(this->Forward("forward_func: 'relu' negative_slope: 0.25", values),
            vector<Dtype>({-0.75, -0.25, -0.125, 0, 0, 0.5, 1, 3, this->kInfinity, -this->kInfinity}));
  EXPECT_EQ(this->Forward("forward_func: 'relu'", vector<Dtype>({-2, 2})), vector<Dtype>({0, 2}));
}

TYPED_TEST(QuantLayerTest, NanStaysNan) {
  for (const string settings :
       {"centers: 1", "centers: 0.5 centers: 1 centers: 2 negative_slope: 1", "forward_func: 'sign'",
        "forward_func: 'hard_tanh'", "forward_func: 'relu' negative_slope: 0.1"}) {
    EXPECT_TRUE(std::isnan(this->Forward(settings, {1, this->kNan})[1])) << settings;
  }
}

TYPED_TEST(QuantLayerTest, ReluGradient) {
  typedef typename TypeParam::Dtype Dtype;
  const Dtype limit = 1.5;
  const vector<Dtype> values = {-3, Dtype(-0.0), 0, Dtype(0.1), limit, std::nextafter(limit, Dtype(2)), 100};
  EXPECT_EQ(this->Backward("centers: 1", values), vector<Dtype>({0, 0, 0, 2, 2, 2, 2}));
  EXPECT_EQ(this->Backward("centers: 1 clip_thr: 1.5", values), vector<Dtype>({0, 0, 0, 2, 2, 0, 0}));
  EXPECT_EQ(this->Backward("centers: 1 clip_thr: 1.5 negative_slope: 0.25", values),
            vector<Dtype>({0.5, 0.5, 0.5, 2, 2, 0, 0}));
  EXPECT_EQ(this->Backward("forward_func: 'sign' clip_thr: -1", values),
            vector<Dtype>({0, 0, 0, 2, 2, 2, 2}));
}

TYPED_TEST(QuantLayerTest, HardTanhGradient) {
  typedef typename TypeParam::Dtype Dtype;
  const Dtype limit = 1.5, beyond = std::nextafter(limit, Dtype(2));
  const vector<Dtype> values = {-100, -beyond, -limit, -1, 0, 1, limit, beyond, 100};
  const string sign = "forward_func: 'sign' backward_func: 'hard_tanh' ";
  EXPECT_EQ(this->Backward(sign + "clip_thr: 1.5", values), vector<Dtype>({0, 0, 2, 2, 2, 2, 2, 0, 0}));
  EXPECT_EQ(this->Backward(sign, values), vector<Dtype>(values.size(), 2));
}

TYPED_TEST(QuantLayerTest, LogTailedReluGradient) {
  typedef typename TypeParam::Dtype Dtype;
  const string tailed = "centers: 0.5 centers: 1.5 backward_func: 'log_tailed_relu' ";
  const vector<Dtype> values = {-1, 0, 0.25, 1.5, 2.5, 4.5};
  ExpectNear(this->Backward(tailed + "clip_thr: 1.5", values), vector<Dtype>({0, 0, 2, 2, 1, 0.5}), 1e-6);
  ExpectNear(this->Backward(tailed + "clip_thr: 1.5 negative_slope: 0.25", values),
             vector<Dtype>({0.5, 0.5, 2, 2, 1, 0.5}), 1e-6);
  // It is the derivative of x up to the threshold T, and of T + log(x - T + 1) from there.
  const double h = 1e-6, x = 3.2, limit = 1.5;
  const double slope = (std::log(x + h - limit + 1) - std::log(x - h - limit + 1)) / (2 * h);
  EXPECT_NEAR(this->Backward(tailed + "clip_thr: 1.5", {Dtype(x)})[0], 2 * slope, 1e-5);
  LayerFixture<Dtype> endless(QuantText(tailed), {1});
  EXPECT_NE(ErrorOf([&] { endless.SetUp(); }).find("needs quant_param.clip_thr"), string::npos);
}

// Where forward and backward functions belong together, the gradient is the true one.
TYPED_TEST(QuantLayerTest, GradientOfContinuousFunctions) {
  typedef typename TypeParam::Dtype Dtype;
  const bool single = sizeof(Dtype) == 4;
  for (const string settings : {"forward_func: 'relu' negative_slope: 0.1",
                                "forward_func: 'hard_tanh' backward_func: 'hard_tanh' clip_thr: 1"}) {
    LayerFixture<Dtype> quant(QuantText(settings), {3, 4, 5});
    Dtype* x = quant.bottom.mutable_cpu_data();
    for (int i = 0; i < quant.bottom.count(); ++i) {
      for (const Dtype kink : {Dtype(-1), Dtype(0), Dtype(1)}) {
        if (std::fabs(x[i] - kink) < 0.02) x[i] = kink + Dtype(0.05);
      }
    }
    GradientChecker<Dtype> checker(single ? 1e-2 : 1e-5, single ? 1e-3 : 1e-7);
    checker.CheckGradientEltwise(quant.layer.get(), quant.bottoms, quant.tops);
  }
}

TYPED_TEST(QuantLayerTest, ThreadsDoNotChangeTheResult) {
  typedef typename TypeParam::Dtype Dtype;
  LayerFixture<Dtype> quant(QuantText("centers: 0.5 centers: 1 clip_thr: 1"), {5, 20000});
  quant.SetUp();
  vector<vector<Dtype>> tops, diffs;
  for (const int threads : {1, 3}) {
    const ThreadsForTest set(threads);
    quant.Forward();
    tops.push_back(DataOf(quant.top));
    caffe_copy(quant.top.count(), quant.bottom.cpu_data(), quant.top.mutable_cpu_diff());
    quant.Backward();
    diffs.push_back(DiffOf(quant.bottom));
  }
  EXPECT_EQ(tops[1], tops[0]);
  EXPECT_EQ(diffs[1], diffs[0]);
}

// Where memory is reused a byte of each value is kept, and half of one on a GPU where its code fits in 3
// bits.
TYPED_TEST(QuantLayerTest, KeepsWhatRestoresItsTopAndItsGradient) {
  typedef typename TypeParam::Dtype Dtype;
  const struct {
    string settings;
    bool fits_half_bytes;
  } cases[] = {{CentersText({0.5f}), true},
               {CentersText({0.5f, 1, 1.5f}) + "clip_thr: 1.5", true},
               {CentersText({0.25f, 0.5f, 0.75f, 1, 1.25f, 1.5f}) + "clip_thr: 1.5", true},
               {CentersText({0.25f, 0.5f, 0.75f, 1, 1.25f, 1.5f, 1.75f}), false},
               {CentersText({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}), false},
               {"forward_func: 'sign' backward_func: 'hard_tanh' clip_thr: 1", true},
               {"forward_func: 'relu' clip_thr: 2", true}};
  // The last pair of values lacks one.
  constexpr int kCount = 4099;
  for (const auto& c : cases) {
    SCOPED_TRACE(c.settings);
    LayerFixture<Dtype> plain(QuantText(c.settings), {kCount}), keeping(QuantText(c.settings), {kCount});
    Dtype* const values = plain.bottom.mutable_cpu_data();
    for (int i = 0; i < kCount; ++i) values[i] *= 3;
    values[5] = values[kCount - 1] = this->kNan;
    values[6] = this->kInfinity, values[7] = -this->kInfinity;
    caffe_copy(kCount, plain.bottom.cpu_data(), keeping.bottom.mutable_cpu_data());
    keeping.SetUp();
    keeping.layer->SetReusesMemory(true);
    for (LayerFixture<Dtype>* quant : {&plain, &keeping}) {
      quant->SetUp();
      quant->Forward();
    }
    const bool in_halves = Caffe::mode() == Caffe::GPU && c.fits_half_bytes;
    ASSERT_EQ(keeping.layer->KeptBlobs().size(), 1U);
    const size_t bytes = keeping.layer->KeptBlobs()[0]->count() * sizeof(Dtype);
    EXPECT_GE(bytes, in_halves ? kCount / 2 + 1 : kCount);
    EXPECT_LE(bytes, (in_halves ? kCount / 2 + 1 : kCount) + sizeof(Dtype));
    EXPECT_EQ(WithoutNan(DataOf(keeping.top)), WithoutNan(DataOf(plain.top)));
    const auto expect_kept = [&] {
      if (keeping.layer->RestoresTop(0)) {
        caffe_set(kCount, Dtype(9), keeping.top.mutable_cpu_data());
        keeping.layer->RestoreTop(0, &keeping.top);
        EXPECT_EQ(WithoutNan(DataOf(keeping.top)), WithoutNan(DataOf(plain.top)));
      }
      for (LayerFixture<Dtype>* quant : {&plain, &keeping}) {
        caffe_set(kCount, Dtype(2), quant->top.mutable_cpu_diff());
        quant->Backward();
      }
      EXPECT_EQ(DiffOf(keeping.bottom), DiffOf(plain.bottom));
    };
    expect_kept();
    // Also where the mode has changed since.
    const Caffe::Brew mode = Caffe::mode();
    Caffe::set_mode(Caffe::CPU);
    expect_kept();
    Caffe::set_mode(mode);
  }
}

TYPED_TEST(QuantLayerTest, WorksInPlaceWhereNothingIsTrained) {
  typedef typename TypeParam::Dtype Dtype;
  LayerFixture<Dtype> quant("phase: TEST " + QuantText("centers: 0.5 centers: 1"), {3, 50});
  quant.SetUp();
  quant.Forward();
  quant.tops = quant.bottoms;
  quant.SetUp();
  quant.Forward();
  EXPECT_EQ(DataOf(quant.bottom), DataOf(quant.top));
  EXPECT_NE(ErrorOf([&] { quant.Backward(); }).find("in place"), string::npos);
  EXPECT_NO_THROW(quant.Backward(false));

  LayerFixture<Dtype> trained(QuantText("centers: 0.5"), {3});
  trained.tops = trained.bottoms;
  EXPECT_NE(ErrorOf([&] { trained.SetUp(); }).find("give the top another name"), string::npos);
}

TYPED_TEST(QuantLayerTest, LeavesUnwantedGradients) {
  typedef typename TypeParam::Dtype Dtype;
  LayerFixture<Dtype> quant(QuantText("centers: 0.5"), {4});
  quant.SetUp();
  quant.Forward();
  caffe_set(4, Dtype(7), quant.bottom.mutable_cpu_diff());
  quant.Backward(false);
  EXPECT_EQ(DiffOf(quant.bottom), vector<Dtype>(4, 7));
}

TYPED_TEST(QuantLayerTest, BadSettingsAreErrorsThatNameTheField) {
  const struct {
    const char* settings;
    const char* expected;
  } cases[] = {
      {"forward_func: 'hwqg' centers: 1", "unknown quant_param.forward_func 'hwqg' (did you mean 'hwgq'?)"},
      {"backward_func: 'hardtanh' centers: 1",
       "unknown quant_param.backward_func 'hardtanh' (did you mean 'hard_tanh'?)"},
      {"backward_func: 'sign' centers: 1", "unknown quant_param.backward_func 'sign'"},
      {"", "needs quant_param.centers"},
      {"centers: 0 centers: 1", "number 1 is 0"},
      {"centers: -0.5", "number 1 is -0.5"},
      {"centers: 0.5 centers: 1 centers: 1", "ascending; number 3 is 1"},
      {"centers: 0.5 centers: nan", "number 2 is nan"},
      {"centers: 0.5 centers: inf", "number 2 is inf"},
      {"centers: 0.5 centers: 1 thrs: 0.7", "number 1 is 0.7, not 0.75"},
      {"centers: 0.5 centers: 1 thrs: 0.75 thrs: 2", "the 1 midpoints of the 2 centers"},
  };
  for (const auto& test : cases) {
    const string error = this->SetUpError(test.settings);
    EXPECT_NE(error.find(test.expected), string::npos) << test.settings << " gives: " << error;
    EXPECT_NE(error.find("layer 'qt' (Quant)"), string::npos) << error;
  }
  // The other functions have no use for centers.
  for (const char* good :
       {"centers: 0.538 centers: 1.076 centers: 1.614 thrs: 0.807 thrs: 1.345", "forward_func: 'sign'"}) {
    EXPECT_NO_THROW(LayerFixture<typename TypeParam::Dtype>(QuantText(good), {2, 3}).SetUp()) << good;
  }
}

}  // namespace caffe
