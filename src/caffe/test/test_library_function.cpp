#include "caffe/util/library_function.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "caffe/util/onednn_library.hpp"
#include "environment_for_test.hpp"
#include "layer_test_util.hpp"

namespace caffe {

namespace {

using Kind = LibraryFunction::Kind;

double Exact(const LibraryFunction& f, double x) {
  x *= f.inner_scale;
  switch (f.kind) {
    case Kind::kElu:
      return f.outer_scale * (x > 0 ? x : f.alpha * std::expm1(x));
    case Kind::kExp:
      return f.outer_scale * std::exp(x);
    case Kind::kSigmoid:
      return f.outer_scale / (1 + std::exp(-x));
    case Kind::kSoftplus:
      return f.outer_scale * (std::max(x, 0.) + std::log1p(std::exp(-std::fabs(x))));
    case Kind::kTanh:
      return f.outer_scale * std::tanh(x);
  }
  return 0;
}

const LibraryFunction kFunctions[] = {{Kind::kElu, 1},           {Kind::kElu, 0.25f},
                                      {Kind::kElu, 1, -1, -1},   {Kind::kExp},
                                      {Kind::kExp, 0, -0.5f, 3}, {Kind::kExp, 0, 0.5f, 1},
                                      {Kind::kExp, 0, 1, 2},     {Kind::kSigmoid},
                                      {Kind::kSoftplus},         {Kind::kTanh}};

void ExpectExact(const LibraryFunction& f, float x, float y) {
  const double exact = Exact(f, x);
  if (std::isinf(exact)) {
    EXPECT_EQ(y, exact) << "x = " << x << ", function " << static_cast<int>(f.kind);
    return;
  }
  // Large exponents magnify how the argument is rounded.
  const double tolerance = std::fabs(x) < 10 ? 1e-6 : 1e-5;
  EXPECT_NEAR(y, exact, tolerance * std::max(1., std::fabs(exact)))
      << "x = " << x << ", function " << static_cast<int>(f.kind);
}

}  // namespace

class LibraryFunctionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!GetOneDnn()) GTEST_SKIP() << "this build has no oneDNN";
  }
};

// Of all lengths around those that are computed at once, written elsewhere or in place, and nothing beyond.
TEST_F(LibraryFunctionTest, ComputesEveryElement) {
  for (const LibraryFunction& f : kFunctions) {
    for (const int n : {0, 1, 15, 255, 256, 257, 1000, 8191, 8192, 8193, 17000, 100000}) {
      const float guard = -77;
      std::vector<float> x(n), y(n + 1, guard);
      for (int i = 0; i < n; ++i) x[i] = static_cast<float>((i * 7919) % 1201) / 100 - 6;
      ASSERT_TRUE(ForwardByLibrary(f, n, x.data(), y.data()));
      for (int i = 0; i < n; ++i) {
        ExpectExact(f, x[i], y[i]);
        if (HasFailure()) return;
      }
      EXPECT_EQ(y[n], guard);
      ASSERT_TRUE(ForwardByLibrary(f, n, x.data(), x.data()));
      y.pop_back();
      EXPECT_EQ(x, y) << n;
    }
  }
}

// By the derivative of what was computed, elsewhere or over the gradient that comes in, and nothing beyond.
TEST_F(LibraryFunctionTest, MultipliesGradients) {
  const LibraryFunction derivative = ToLibrary<BnllFunction<float>>::DerivativeOf({});
  for (const int n : {0, 1, 255, 256, 257, 8192, 17000, 100000}) {
    const float guard = -77;
    std::vector<float> y(n), dy(n), dx(n + 1, guard);
    for (int i = 0; i < n; ++i) {
      y[i] = static_cast<float>((i * 7919) % 1201) / 100;
      dy[i] = static_cast<float>((i * 31) % 17) - 8;
    }
    ASSERT_TRUE(BackwardByLibrary(derivative, n, y.data(), dy.data(), dx.data()));
    for (int i = 0; i < n; ++i) ASSERT_NEAR(dx[i], dy[i] * (1 - std::exp(-y[i])), 1e-5) << i;
    EXPECT_EQ(dx[n], guard);
    ASSERT_TRUE(BackwardByLibrary(derivative, n, y.data(), dy.data(), dy.data()));
    dx.pop_back();
    EXPECT_EQ(dy, dx) << n;
  }
}

TEST_F(LibraryFunctionTest, TakesAllValues) {
  const float infinity = std::numeric_limits<float>::infinity();
  std::vector<float> x = {0,  -0.f, 1e-30f, -1e-30f, 1e-5f,    -1e-5f,
                          80, -80,  1e30f,  -1e30f,  infinity, -infinity};
  for (const LibraryFunction& f : kFunctions) {
    std::vector<float> y(x.size());
    ASSERT_TRUE(ForwardByLibrary(f, static_cast<int>(x.size()), x.data(), y.data()));
    for (size_t i = 0; i < x.size(); ++i) ExpectExact(f, x[i], y[i]);
    // In the midst of others, and in place.
    for (const int n : {1, 300, 10000}) {
      std::vector<float> values(n, 0.5f);
      values[n / 2] = std::nanf("");
      ASSERT_TRUE(ForwardByLibrary(f, n, values.data(), values.data()));
      for (int i = 0; i < n; ++i) {
        if (i == n / 2) {
          EXPECT_TRUE(std::isnan(values[i]));
        } else {
          ExpectExact(f, 0.5f, values[i]);
        }
      }
    }
  }
}

TEST_F(LibraryFunctionTest, LayersTakeItUnlessTheyAreToldNotTo) {
  const struct {
    const char *type, *settings, *plain_settings;
  } cases[] = {{"Sigmoid", "", "sigmoid_param { engine: CAFFE }"},
               {"TanH", "", "tanh_param { engine: CAFFE }"},
               {"BNLL", "", nullptr},
               {"Softmax", "", "softmax_param { engine: CAFFE }"},
               {"ELU", "elu_param { alpha: 0.5 }", nullptr},
               {"Exp", "exp_param { base: 2 scale: 0.5 shift: 1 }", nullptr}};
  for (const auto& test : cases) {
    SCOPED_TRACE(test.type);
    const auto text = [&](const char* settings) {
      return string("name: 'layer' type: '") + test.type + "' bottom: 'x' top: 'y' " + settings;
    };
    LayerFixture<float> fast(text(test.settings), {5, 700});
    fast.SetUp();
    fast.Forward();
    for (int i = 0; i < fast.top.count(); ++i) fast.top.mutable_cpu_diff()[i] = static_cast<float>(i % 7) - 3;
    fast.Backward();
    std::vector<std::unique_ptr<LayerFixture<float>>> plain;
    {
      const EnvironmentForTest engine("CAFFE_ENGINE", "CAFFE");
      plain.push_back(std::make_unique<LayerFixture<float>>(text(test.settings), vector<int>{5, 700}));
    }
    if (test.plain_settings) {
      plain.push_back(std::make_unique<LayerFixture<float>>(text(test.plain_settings), vector<int>{5, 700}));
    }
    for (auto& layer : plain) {
      layer->SetUp();
      layer->bottom.CopyFrom(fast.bottom);
      layer->Forward();
      int different = 0;
      for (int i = 0; i < fast.top.count(); ++i) {
        const float a = fast.top.cpu_data()[i], b = layer->top.cpu_data()[i];
        EXPECT_NEAR(a, b, 1e-6 * std::max(1.f, std::fabs(b)));
        different += a != b;
      }
      // Not the same computation: some last places differ.
      EXPECT_GT(different, 0);
      layer->top.CopyFrom(fast.top, true);
      layer->Backward();
      for (int i = 0; i < fast.bottom.count(); ++i) {
        EXPECT_NEAR(fast.bottom.cpu_diff()[i], layer->bottom.cpu_diff()[i], 1e-5);
      }
    }
  }
}

}  // namespace caffe
