#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "caffe/layers/pooling_layer.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_gradient_check_util.hpp"
#include "caffe/util/conv_geometry.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/pool_window.hpp"
#include "layer_test_util.hpp"

namespace caffe {

namespace {

string PoolingText(const string& settings) {
  return "name: 'pool' type: 'Pooling' pooling_param { " + settings + " }";
}

struct Case {
  string settings;
  vector<int> bottom;
  vector<int> top;
};

vector<Case> Cases() {
  return {
      {"kernel_size: 2 stride: 2", {2, 3, 4, 6}, {2, 3, 2, 3}},
      {"kernel_size: 3 stride: 2", {2, 2, 8, 7}, {2, 2, 4, 3}},
      {"kernel_size: 3 stride: 2 pad: 1", {1, 2, 6, 5}, {1, 2, 4, 3}},
      {"kernel_size: 2 stride: 2 pad: 1", {1, 2, 3, 4}, {1, 2, 2, 3}},
      {"kernel_h: 2 kernel_w: 4 stride_h: 2 stride_w: 3 pad_h: 1 pad_w: 2", {2, 1, 5, 7}, {2, 1, 3, 3}},
      {"kernel_h: 3 kernel_w: 2 pad_w: 1", {1, 2, 4, 3}, {1, 2, 2, 4}},
      // Padding on one axis cuts off windows beyond the input on both.
      {"kernel_h: 1 kernel_w: 2 stride: 2 pad_w: 1", {1, 1, 2, 3}, {1, 1, 1, 2}},
      {"kernel_h: 1 kernel_w: 2 stride: 2", {1, 1, 2, 3}, {1, 1, 2, 2}},
      {"global_pooling: true", {2, 3, 3, 4}, {2, 3, 1, 1}},
      {"kernel_size: 3 stride: 2 round_mode: FLOOR", {2, 1, 8, 6}, {2, 1, 3, 2}},
      {"kernel_size: 3 stride: 2", {1, 1, 2, 2}, {1, 1, 1, 1}},
      {"kernel_size: 1 stride: 2", {1, 2, 4, 3}, {1, 2, 3, 2}},
      {"kernel_size: 1", {1, 2, 3, 2}, {1, 2, 3, 2}},
  };
}

// Rows long enough for vector instructions, and what is left over.
vector<Case> WideCases() {
  return {
      {"kernel_size: 3 stride: 1 pad: 2", {1, 2, 5, 40}, {1, 2, 7, 42}},
      {"kernel_size: 3 stride: 2 pad: 1", {1, 1, 4, 75}, {1, 1, 3, 38}},
      {"kernel_h: 2 kernel_w: 5 stride: 3 pad_w: 4", {1, 1, 2, 60}, {1, 1, 1, 22}},
  };
}

// Pooling as the definition says: padding is written out, and what lies beyond it is cut off.
struct Reference {
  vector<double> max, average;
  vector<int> place;

  template <typename Dtype>
  Reference(const PoolingParameter& param, const Blob<Dtype>& bottom, const Blob<Dtype>& top) {
    PoolAxis height = {bottom.height(), 1, 0}, width = {bottom.width(), 1, 0};
    if (!param.global_pooling()) read_pool_geometry(param, &height, &width);
    for (int i = 0; i < top.count(); ++i) {
      const int w0 = i % top.width() * width.stride - width.pad;
      const int h0 = i / top.width() % top.height() * height.stride - height.pad;
      const Dtype* channel = bottom.cpu_data() + i / top.count(2) * bottom.count(2);
      double largest = -1e30, sum = 0;
      int where = -1, seen = 0;
      for (int h = h0; h < h0 + height.kernel && h < bottom.height() + height.pad; ++h) {
        for (int w = w0; w < w0 + width.kernel && w < bottom.width() + width.pad; ++w) {
          ++seen;
          if (h < 0 || h >= bottom.height() || w < 0 || w >= bottom.width()) continue;
          const double value = channel[h * bottom.width() + w];
          sum += value;
          if (value > largest) {
            largest = value;
            where = h * bottom.width() + w;
          }
        }
      }
      max.push_back(where < 0 ? 0 : largest);
      place.push_back(where);
      average.push_back(where < 0 ? 0 : sum / seen);
    }
  }
};

}  // namespace

template <typename TypeParam>
class PoolingLayerTest : public MultiDeviceTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;
  PoolingLayerTest() { Caffe::set_random_seed(1701); }

  // Values that differ by more than a gradient check's step, so that no maximum changes its place.
  static void FillDistinct(Blob<Dtype>* blob) {
    vector<int> order(blob->count());
    for (int i = 0; i < blob->count(); ++i) order[i] = i;
    shuffle(order.begin(), order.end());
    for (int i = 0; i < blob->count(); ++i) {
      blob->mutable_cpu_data()[i] = static_cast<Dtype>(order[i]) * Dtype(0.1) - 1;
    }
  }
  static constexpr bool kSingle = sizeof(Dtype) == 4;
};

TYPED_TEST_SUITE(PoolingLayerTest, TestDtypesAndDevices);

TYPED_TEST(PoolingLayerTest, ForwardIsTheDefinition) {
  typedef typename TypeParam::Dtype Dtype;
  vector<Case> cases = Cases();
  for (const Case& test : WideCases()) cases.push_back(test);
  for (const Case& test : cases) {
    SCOPED_TRACE(test.settings);
    LayerFixture<Dtype> max(PoolingText(test.settings), test.bottom);
    max.SetUp();
    max.Forward();
    ASSERT_EQ(max.top.shape(), test.top);
    const Reference reference(max.layer->layer_param().pooling_param(), max.bottom, max.top);
    ExpectNear(DataOf(max.top), reference.max, 0);

    Blob<Dtype> places;
    max.tops.push_back(&places);
    max.SetUp();
    max.Forward();
    EXPECT_EQ(places.shape(), test.top);
    ExpectNear(DataOf(max.top), reference.max, 0);
    ExpectNear(DataOf(places), reference.place, 0);

    LayerFixture<Dtype> average(PoolingText("pool: AVE " + test.settings), test.bottom);
    average.bottom.CopyFrom(max.bottom);
    average.SetUp();
    average.Forward();
    ASSERT_EQ(average.top.shape(), test.top);
    ExpectNear(DataOf(average.top), reference.average, 1e-6);
  }
}

// Windows of the usual sizes in rows of all lengths, with values that are equal or no numbers.
TYPED_TEST(PoolingLayerTest, MaxOfSmallWindowsIsTheDefinition) {
  typedef typename TypeParam::Dtype Dtype;
  for (const int kernel : {2, 3}) {
    for (const int pad : {0, 1}) {
      for (int width = kernel; width <= 41; ++width) {
        const string settings =
            "kernel_size: " + std::to_string(kernel) + " stride: 2 pad: " + std::to_string(pad);
        SCOPED_TRACE(settings + ", width " + std::to_string(width));
        LayerFixture<Dtype> pool(PoolingText(settings), {2, 2, 5, width});
        Dtype* values = pool.bottom.mutable_cpu_data();
        for (int i = 0; i < pool.bottom.count(); ++i) {
          const unsigned draw = caffe_rng_rand() % 32;
          values[i] = draw == 0 ? Dtype(NAN) : static_cast<Dtype>(draw % 4) - 2;
        }
        Blob<Dtype> places;
        pool.tops.push_back(&places);
        pool.SetUp();
        pool.Forward();
        const PoolGeometry geometry = {5,   width, pool.top.height(), pool.top.width(), kernel, kernel, 2, 2,
                                       pad, pad};
        for (int i = 0; i < pool.top.count(); ++i) {
          const PoolWindow window =
              geometry.window(i / pool.top.width() % pool.top.height(), i % pool.top.width());
          const Dtype* channel = values + i / pool.top.count(2) * pool.bottom.count(2);
          const PoolMax<Dtype> max = MaxOfWindow(channel, window);
          EXPECT_EQ(places.cpu_data()[i], max.place) << i;
          EXPECT_TRUE(std::isnan(max.largest) ? std::isnan(pool.top.cpu_data()[i])
                                              : pool.top.cpu_data()[i] == max.largest)
              << i;
        }
      }
    }
  }
}

TYPED_TEST(PoolingLayerTest, Gradient) {
  typedef typename TypeParam::Dtype Dtype;
  GradientChecker<Dtype> checker(this->kSingle ? 1e-2 : 1e-5, this->kSingle ? 1e-3 : 1e-7);
  for (const Case& test : Cases()) {
    for (const string method : {"MAX", "AVE"}) {
      SCOPED_TRACE(method + " " + test.settings);
      LayerFixture<Dtype> pool(PoolingText("pool: " + method + " " + test.settings), test.bottom);
      this->FillDistinct(&pool.bottom);
      checker.CheckGradientExhaustive(pool.layer.get(), pool.bottoms, pool.tops);
    }
  }
}

// Averages are linear: what they hand back is their transpose.
TYPED_TEST(PoolingLayerTest, AverageHandsBackItsTranspose) {
  typedef typename TypeParam::Dtype Dtype;
  for (const Case& test : WideCases()) {
    SCOPED_TRACE(test.settings);
    LayerFixture<Dtype> pool(PoolingText("pool: AVE " + test.settings), test.bottom);
    pool.SetUp();
    pool.Forward();
    FillNormal(&pool.top);
    const vector<Dtype> gradient = DataOf(pool.top);
    pool.Forward();
    double of_top = 0, of_bottom = 0;
    for (int i = 0; i < pool.top.count(); ++i) {
      pool.top.mutable_cpu_diff()[i] = gradient[i];
      of_top += static_cast<double>(gradient[i]) * pool.top.cpu_data()[i];
    }
    pool.Backward();
    for (int i = 0; i < pool.bottom.count(); ++i) {
      of_bottom += static_cast<double>(pool.bottom.cpu_diff()[i]) * pool.bottom.cpu_data()[i];
    }
    EXPECT_NEAR(of_bottom, of_top, this->kSingle ? 1e-4 : 1e-12);
  }
}

TYPED_TEST(PoolingLayerTest, BackwardFollowsTheSecondTop) {
  typedef typename TypeParam::Dtype Dtype;
  LayerFixture<Dtype> pool(PoolingText("kernel_size: 3 stride: 2 pad: 1"), {2, 2, 6, 5});
  pool.SetUp();
  pool.Forward();
  FillNormal(&pool.top);
  caffe_copy(pool.top.count(), pool.top.cpu_data(), pool.top.mutable_cpu_diff());
  pool.Backward();
  const vector<Dtype> expected = DiffOf(pool.bottom);
  Blob<Dtype> places;
  pool.tops.push_back(&places);
  pool.SetUp();
  pool.Forward();
  pool.Backward();
  EXPECT_EQ(DiffOf(pool.bottom), expected);
}

// A pass forward on one side may be followed by one backward on the other.
TYPED_TEST(PoolingLayerTest, BackwardFollowsForwardOfTheOtherSide) {
  typedef typename TypeParam::Dtype Dtype;
  if (TypeParam::device == Caffe::CPU) GTEST_SKIP() << "there is but one side";
  vector<vector<Dtype>> gradients;
  LayerFixture<Dtype> pool(PoolingText("kernel_size: 3 stride: 2 pad: 1"), {2, 2, 6, 5});
  pool.SetUp();
  for (const Caffe::Brew forward : {Caffe::CPU, Caffe::GPU}) {
    for (const Caffe::Brew backward : {Caffe::GPU, Caffe::CPU}) {
      Caffe::set_mode(forward);
      pool.Forward();
      caffe_copy(pool.top.count(), pool.top.cpu_data(), pool.top.mutable_cpu_diff());
      Caffe::set_mode(backward);
      pool.Backward();
      gradients.push_back(DiffOf(pool.bottom));
      EXPECT_EQ(gradients.back(), gradients.front());
    }
  }
  Caffe::set_mode(TypeParam::device);
  EXPECT_NE(pool.bottom.asum_diff(), 0);
}

// More elements than 16 bits tell apart.
TYPED_TEST(PoolingLayerTest, BackwardFindsPlacesInLargeChannels) {
  typedef typename TypeParam::Dtype Dtype;
  for (const int width : {255, 257, 300}) {
    LayerFixture<Dtype> pool(PoolingText("kernel_size: 2 stride: 2"), {1, 1, 257, width});
    this->FillDistinct(&pool.bottom);
    pool.SetUp();
    pool.Forward();
    caffe_set(pool.top.count(), Dtype(1), pool.top.mutable_cpu_diff());
    pool.Backward();
    int found = 0;
    for (int i = 0; i < pool.bottom.count(); ++i) {
      const int window = i / width / 2 * pool.top.width() + i % width / 2;
      const bool is_largest = pool.bottom.cpu_data()[i] == pool.top.cpu_data()[window];
      ASSERT_EQ(pool.bottom.cpu_diff()[i], is_largest ? 1 : 0) << i;
      found += is_largest;
    }
    EXPECT_EQ(found, pool.top.count());
  }
}

TYPED_TEST(PoolingLayerTest, MaxTakesTheFirstOfEqualsAndShowsNan) {
  typedef typename TypeParam::Dtype Dtype;
  LayerFixture<Dtype> pool(PoolingText("kernel_size: 2 stride: 2"), {1, 1, 2, 8});
  const Dtype nan = std::numeric_limits<Dtype>::quiet_NaN();
  const Dtype infinity = std::numeric_limits<Dtype>::infinity();
  const vector<Dtype> values = {3, 3, nan, 1, 1, 2,   -infinity, -infinity,  //
                                3, 3, 2,   5, 5, nan, -infinity, -infinity};
  std::copy(values.begin(), values.end(), pool.bottom.mutable_cpu_data());
  Blob<Dtype> places;
  pool.tops.push_back(&places);
  pool.SetUp();
  pool.Forward();
  EXPECT_EQ(pool.top.cpu_data()[0], 3);
  EXPECT_TRUE(std::isnan(pool.top.cpu_data()[1]));
  EXPECT_TRUE(std::isnan(pool.top.cpu_data()[2]));
  EXPECT_EQ(pool.top.cpu_data()[3], -infinity);
  EXPECT_EQ(DataOf(places), vector<Dtype>({0, 2, 13, 6}));
}

TYPED_TEST(PoolingLayerTest, StochasticDrawsInProportionWhileTraining) {
  typedef typename TypeParam::Dtype Dtype;
  LayerFixture<Dtype> pool(PoolingText("pool: STOCHASTIC kernel_size: 2 stride: 2"), {100, 50, 2, 3});
  // A window of 1, 0, 3, 6 and one, cut off by the border, of 0, 5.
  const Dtype window[] = {1, 0, 0, 3, 6, 5};
  for (int i = 0; i < pool.bottom.count(); ++i) pool.bottom.mutable_cpu_data()[i] = window[i % 6];
  pool.SetUp();
  pool.Forward();
  std::map<Dtype, int> drawn;
  for (int i = 0; i < pool.top.count(); i += 2) {
    ++drawn[pool.top.cpu_data()[i]];
    ASSERT_EQ(pool.top.cpu_data()[i + 1], 5);
  }
  EXPECT_EQ(drawn.size(), 3u);
  EXPECT_NEAR(drawn[1], 500, 80);
  EXPECT_NEAR(drawn[3], 1500, 120);
  EXPECT_NEAR(drawn[6], 3000, 150);

  FillNormal(&pool.top);
  const vector<Dtype> gradient = DataOf(pool.top);
  Caffe::set_random_seed(7);
  pool.Forward();
  caffe_copy(pool.top.count(), gradient.data(), pool.top.mutable_cpu_diff());
  pool.Backward();
  for (int i = 0; i < pool.bottom.count(); ++i) {
    const int output = i / 6 * 2 + (i % 3 == 2 ? 1 : 0);
    const bool chosen = window[i % 6] == pool.top.cpu_data()[output];
    EXPECT_EQ(pool.bottom.cpu_diff()[i], chosen ? gradient[output] : 0);
  }
  const vector<Dtype> first = DataOf(pool.top);
  const ThreadsForTest set(3);
  Caffe::set_random_seed(7);
  pool.Forward();
  EXPECT_EQ(DataOf(pool.top), first);
}

TYPED_TEST(PoolingLayerTest, StochasticOfZerosIsZero) {
  typedef typename TypeParam::Dtype Dtype;
  for (const string phase : {"TRAIN", "TEST"}) {
    LayerFixture<Dtype> pool(
        "phase: " + phase + " " + PoolingText("pool: STOCHASTIC kernel_size: 2 stride: 2"), {1, 1, 2, 2});
    caffe_set(4, Dtype(0), pool.bottom.mutable_cpu_data());
    pool.SetUp();
    pool.Forward();
    EXPECT_EQ(pool.top.cpu_data()[0], 0);
    pool.top.mutable_cpu_diff()[0] = 1;
    pool.Backward();
    EXPECT_EQ(pool.bottom.asum_diff(), phase == "TRAIN" ? 1 : 0);
  }
}

TYPED_TEST(PoolingLayerTest, StochasticIsTheExpectedValueInTesting) {
  typedef typename TypeParam::Dtype Dtype;
  LayerFixture<Dtype> pool("phase: TEST " + PoolingText("pool: STOCHASTIC kernel_size: 3 stride: 2"),
                           {2, 1, 4, 5});
  for (int i = 0; i < pool.bottom.count(); ++i) {
    pool.bottom.mutable_cpu_data()[i] = std::fabs(pool.bottom.cpu_data()[i]) + Dtype(0.2);
  }
  GradientChecker<Dtype> checker(this->kSingle ? 1e-2 : 1e-5, this->kSingle ? 1e-2 : 1e-7);
  checker.CheckGradientExhaustive(pool.layer.get(), pool.bottoms, pool.tops);
  pool.Forward();
  double sum = 0, squares = 0;
  for (int h = 0; h < 3; ++h) {
    for (int w = 0; w < 3; ++w) {
      const double value = pool.bottom.data_at(0, 0, h, w);
      sum += value;
      squares += value * value;
    }
  }
  EXPECT_NEAR(pool.top.cpu_data()[0], squares / sum, 1e-6);
}

TYPED_TEST(PoolingLayerTest, ThreadsDoNotChangeTheResult) {
  typedef typename TypeParam::Dtype Dtype;
  for (const string method : {"MAX", "AVE"}) {
    LayerFixture<Dtype> pool(PoolingText("pool: " + method + " kernel_size: 3 stride: 2"), {5, 7, 40, 41});
    pool.SetUp();
    vector<vector<Dtype>> tops, diffs;
    for (const int threads : {1, 3}) {
      const ThreadsForTest set(threads);
      pool.Forward();
      tops.push_back(DataOf(pool.top));
      caffe_copy(pool.top.count(), pool.top.cpu_data(), pool.top.mutable_cpu_diff());
      pool.Backward();
      diffs.push_back(DiffOf(pool.bottom));
    }
    EXPECT_EQ(tops[1], tops[0]);
    EXPECT_EQ(diffs[1], diffs[0]);
  }
}

TYPED_TEST(PoolingLayerTest, FollowsTheBottomsSizeAndLeavesUnwantedGradients) {
  typedef typename TypeParam::Dtype Dtype;
  LayerFixture<Dtype> pool(PoolingText("pool: AVE global_pooling: true"), {1, 2, 3, 4});
  pool.SetUp();
  pool.bottom.Reshape(2, 2, 5, 1);
  caffe_set(pool.bottom.count(), Dtype(3), pool.bottom.mutable_cpu_data());
  pool.Forward();
  EXPECT_EQ(pool.top.shape(), vector<int>({2, 2, 1, 1}));
  EXPECT_NEAR(pool.top.cpu_data()[3], 3, 1e-6);
  caffe_set(pool.bottom.count(), Dtype(7), pool.bottom.mutable_cpu_diff());
  pool.Backward(false);
  EXPECT_EQ(DiffOf(pool.bottom), vector<Dtype>(pool.bottom.count(), 7));
}

// Of which all have but one window.
TYPED_TEST(PoolingLayerTest, StridesMayBeAsLongAsNumbersGo) {
  typedef typename TypeParam::Dtype Dtype;
  for (const string pool : {"MAX", "AVE"}) {
    const string settings = "pool: " + pool + " kernel_h: 3 kernel_w: 4 pad_h: 1 pad_w: 2 ";
    LayerFixture<Dtype> longest(PoolingText(settings + "stride_h: 2147483647 stride_w: 2147483647"),
                                {2, 2, 3, 5});
    LayerFixture<Dtype> expected(PoolingText(settings + "stride_h: 50 stride_w: 50"), {2, 2, 3, 5});
    expected.bottom.CopyFrom(longest.bottom);
    for (LayerFixture<Dtype>* fixture : {&longest, &expected}) {
      fixture->SetUp();
      fixture->Forward();
      caffe_set(fixture->top.count(), Dtype(1), fixture->top.mutable_cpu_diff());
      fixture->Backward();
    }
    EXPECT_EQ(longest.top.shape(), (vector<int>{2, 2, 1, 1}));
    EXPECT_EQ(DataOf(longest.top), DataOf(expected.top));
    EXPECT_EQ(DiffOf(longest.bottom), DiffOf(expected.bottom));
  }
}

TYPED_TEST(PoolingLayerTest, BadSettingsAreErrorsThatNameTheField) {
  typedef typename TypeParam::Dtype Dtype;
  const struct {
    const char* settings;
    vector<int> bottom;
    const char* expected;
  } cases[] = {
      {"stride: 2", {1, 1, 4, 4}, "'kernel_size' must be given"},
      {"kernel_w: 2", {1, 1, 4, 4}, "both the _h and the _w form of 'kernel_size'"},
      {"kernel_size: 2 kernel_h: 2 kernel_w: 2", {1, 1, 4, 4}, "not both"},
      {"kernel_size: 0", {1, 1, 4, 4}, "'kernel_size' must be at least 1"},
      {"kernel_size: 2 stride: 0", {1, 1, 4, 4}, "'stride' must be at least 1"},
      {"kernel_size: 2 pad: 2", {1, 1, 4, 4}, "'pad' must be smaller than the kernel"},
      {"kernel_size: 2 pad_w: 3", {1, 1, 4, 4}, "'pad' must be smaller than the kernel"},
      {"kernel_size: 2 pad: 1 pool: STOCHASTIC", {1, 1, 4, 4}, "'pad'"},
      {"kernel_size: 2 global_pooling: true", {1, 1, 4, 4}, "remove 'kernel_size'"},
      {"pad: 1 global_pooling: true", {1, 1, 4, 4}, "remove 'pad' and 'stride'"},
      {"stride_h: 2 global_pooling: true", {1, 1, 4, 4}, "remove 'pad' and 'stride'"},
      {"kernel_size: 2", {1, 4, 4}, "num x channels x height x width"},
      {"kernel_size: 5", {1, 1, 2, 7}, "kernel of size 5, stride 1, over an input of size 2"},
      {"kernel_size: 3 stride: 2 round_mode: FLOOR", {1, 1, 2, 7}, "output would have size 0"},
  };
  for (const auto& test : cases) {
    const string error =
        ErrorOf([&] { LayerFixture<Dtype>(PoolingText(test.settings), test.bottom).SetUp(); });
    EXPECT_NE(error.find(test.expected), string::npos) << test.settings << " gives: " << error;
    EXPECT_NE(error.find("layer 'pool' (Pooling)"), string::npos) << error;
  }
  LayerFixture<Dtype> average(PoolingText("pool: AVE kernel_size: 2"), {1, 1, 4, 4});
  Blob<Dtype> second;
  average.tops.push_back(&second);
  EXPECT_NE(ErrorOf([&] { average.SetUp(); }).find("at most 1 top"), string::npos);
}

}  // namespace caffe
