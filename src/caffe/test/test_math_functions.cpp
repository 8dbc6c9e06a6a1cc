#include "caffe/util/math_functions.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_error_util.hpp"
#include "layer_test_util.hpp"

namespace caffe {

namespace {

// None, one, odd numbers, and more than a chunk of kElementGrain.
const std::vector<int> kSizes = {0, 1, 7, 101, 3 * static_cast<int>(kElementGrain) + 5};

// The values -2, -1.9375, ... 2, again and again, with +0 and -0 among them.
template <typename Dtype>
std::vector<Dtype> Signed(int n, int first = 0) {
  std::vector<Dtype> values(n);
  for (int i = 0; i < n; ++i) values[i] = Dtype((i * 37 + first) % 65 - 32) / 16;
  if (n > 3) values[3] = -Dtype(0);
  return values;
}

template <typename Dtype>
std::vector<Dtype> Positive(int n, int first = 0) {
  std::vector<Dtype> values = Signed<Dtype>(n, first);
  for (Dtype& value : values) value = std::fabs(value) + Dtype(0.125);
  return values;
}

// C by its definition, in double.
template <typename Dtype>
std::vector<double> PlainGemm(bool transpose_a, bool transpose_b, int M, int N, int K, double alpha,
                              const std::vector<Dtype>& a, const std::vector<Dtype>& b, double beta,
                              const std::vector<Dtype>& c) {
  std::vector<double> result(M * N);
  for (int i = 0; i < M; ++i) {
    for (int j = 0; j < N; ++j) {
      double sum = 0;
      for (int k = 0; k < K; ++k) {
        sum +=
            double(a[transpose_a ? k * M + i : i * K + k]) * double(b[transpose_b ? j * K + k : k * N + j]);
      }
      result[i * N + j] = alpha * sum + beta * c[i * N + j];
    }
  }
  return result;
}

}  // namespace

template <typename Dtype>
class MathFunctionsTest : public CPUDeviceTest<Dtype> {
 protected:
  MathFunctionsTest() : threads_(3) {}

  // Compares y = function(a) with the same for single numbers, in another array and in place.
  template <typename Function, typename Plain>
  void ExpectUnary(Function function, std::vector<Dtype> (*values)(int, int), Plain plain) {
    for (int n : kSizes) {
      std::vector<Dtype> a = values(n, 0);
      std::vector<Dtype> y(n, 77);
      std::vector<Dtype> expected;
      for (Dtype value : a) expected.push_back(plain(value));
      function(n, a.data(), y.data());
      ExpectNear(y, expected, kTolerance);
      function(n, a.data(), a.data());
      ExpectNear(a, expected, kTolerance);
    }
  }

  template <typename Function, typename Plain>
  void ExpectBinary(Function function, Plain plain) {
    for (int n : kSizes) {
      std::vector<Dtype> a = Signed<Dtype>(n, 5);
      const std::vector<Dtype> b = Positive<Dtype>(n, 21);
      std::vector<Dtype> y(n, 77);
      std::vector<Dtype> expected;
      for (int i = 0; i < n; ++i) expected.push_back(plain(a[i], b[i]));
      function(n, a.data(), b.data(), y.data());
      EXPECT_EQ(y, expected);
      function(n, a.data(), b.data(), a.data());
      EXPECT_EQ(a, expected);
    }
  }

  static constexpr double kTolerance = sizeof(Dtype) == 8 ? 1e-14 : 1e-6;
  ThreadsForTest threads_;
};

TYPED_TEST_SUITE(MathFunctionsTest, TestDtypes);

TYPED_TEST(MathFunctionsTest, UnaryFunctions) {
  typedef TypeParam D;
  this->ExpectUnary(caffe_sqr<D>, Signed<D>, [](D x) { return x * x; });
  this->ExpectUnary(caffe_sqrt<D>, Positive<D>, [](D x) { return std::sqrt(x); });
  this->ExpectUnary(caffe_exp<D>, Signed<D>, [](D x) { return std::exp(x); });
  this->ExpectUnary(caffe_log<D>, Positive<D>, [](D x) { return std::log(x); });
  this->ExpectUnary(caffe_abs<D>, Signed<D>, [](D x) { return x < 0 ? -x : x; });
  this->ExpectUnary(caffe_cpu_fabs<D>, Signed<D>, [](D x) { return x < 0 ? -x : x; });
  this->ExpectUnary(caffe_cpu_sign<D>, Signed<D>, [](D x) { return D(x > 0 ? 1 : x < 0 ? -1 : 0); });
  this->ExpectUnary(caffe_cpu_sgnbit<D>, Signed<D>, [](D x) { return D(std::signbit(x) ? 1 : 0); });
  this->ExpectUnary([](int n, const D* a, D* y) { caffe_powx(n, a, D(2.5), y); }, Positive<D>,
                    [](D x) { return x * x * std::sqrt(x); });
  this->ExpectUnary([](int n, const D* a, D* y) { caffe_cpu_scale(n, D(-3), a, y); }, Signed<D>,
                    [](D x) { return -3 * x; });
}

TYPED_TEST(MathFunctionsTest, BinaryFunctions) {
  typedef TypeParam D;
  this->ExpectBinary(caffe_add<D>, [](D a, D b) { return a + b; });
  this->ExpectBinary(caffe_sub<D>, [](D a, D b) { return a - b; });
  this->ExpectBinary(caffe_mul<D>, [](D a, D b) { return a * b; });
  this->ExpectBinary(caffe_div<D>, [](D a, D b) { return a / b; });
}

TYPED_TEST(MathFunctionsTest, Accumulations) {
  for (int n : kSizes) {
    const std::vector<TypeParam> x = Signed<TypeParam>(n, 3);
    const std::vector<TypeParam> y = Signed<TypeParam>(n, 11);
    std::vector<TypeParam> axpy = y, axpby = y, added = y, scaled = y;
    caffe_axpy(n, TypeParam(0.5), x.data(), axpy.data());
    caffe_cpu_axpby(n, TypeParam(0.5), x.data(), TypeParam(-2), axpby.data());
    caffe_add_scalar(n, TypeParam(1.5), added.data());
    caffe_scal(n, TypeParam(-0.25), scaled.data());
    for (int i = 0; i < n; ++i) {
      ASSERT_EQ(axpy[i], x[i] / 2 + y[i]);
      ASSERT_EQ(axpby[i], x[i] / 2 - 2 * y[i]);
      ASSERT_EQ(added[i], y[i] + TypeParam(1.5));
      ASSERT_EQ(scaled[i], y[i] / -4);
    }
  }
}

TYPED_TEST(MathFunctionsTest, FillsAndCopies) {
  std::vector<TypeParam> x(7, 1), y(7, 2);
  caffe_set(5, TypeParam(3), x.data());
  EXPECT_EQ(x, (std::vector<TypeParam>{3, 3, 3, 3, 3, 1, 1}));
  caffe_set(0, TypeParam(9), x.data());
  caffe_copy(4, y.data(), x.data());
  EXPECT_EQ(x, (std::vector<TypeParam>{2, 2, 2, 2, 3, 1, 1}));
  caffe_copy(7, x.data(), x.data());
  caffe_copy(0, y.data(), x.data());
  caffe_memset(2 * sizeof(TypeParam), 0, x.data());
  EXPECT_EQ(x, (std::vector<TypeParam>{0, 0, 2, 2, 3, 1, 1}));
  std::vector<int> integers(3);
  caffe_set(3, -4, integers.data());
  EXPECT_EQ(integers, std::vector<int>(3, -4));
}

TYPED_TEST(MathFunctionsTest, Sums) {
  for (int n : kSizes) {
    const std::vector<TypeParam> x = Signed<TypeParam>(n, 3), y = Signed<TypeParam>(n, 11);
    double dot = 0, asum = 0;
    for (int i = 0; i < n; ++i) {
      dot += double(x[i]) * y[i];
      asum += std::fabs(x[i]);
    }
    EXPECT_NEAR(caffe_cpu_dot(n, x.data(), y.data()), dot, 1e-4 * (1 + std::fabs(dot)));
    EXPECT_NEAR(caffe_cpu_asum(n, x.data()), asum, 1e-4 * (1 + asum));
  }
  const std::vector<TypeParam> a = {1, 0, 2, 0, 3}, b = {4, 5, 6};
  EXPECT_EQ(caffe_cpu_strided_dot(3, a.data(), 2, b.data(), 1), 32);
}

TYPED_TEST(MathFunctionsTest, MatrixProducts) {
  const int sizes[][3] = {{1, 1, 1}, {2, 3, 4}, {5, 1, 7}, {1, 6, 3}, {17, 13, 29}, {64, 65, 33}};
  for (const auto& [M, N, K] : sizes) {
    const std::vector<TypeParam> a = Signed<TypeParam>(M * K, 3), b = Signed<TypeParam>(K * N, 8);
    for (bool transpose_a : {false, true}) {
      for (bool transpose_b : {false, true}) {
        for (TypeParam beta : {TypeParam(0), TypeParam(1), TypeParam(-0.5)}) {
          std::vector<TypeParam> c = Signed<TypeParam>(M * N, 1);
          const std::vector<double> expected =
              PlainGemm(transpose_a, transpose_b, M, N, K, 1.5, a, b, beta, c);
          caffe_cpu_gemm(transpose_a ? CblasTrans : CblasNoTrans, transpose_b ? CblasTrans : CblasNoTrans, M,
                         N, K, TypeParam(1.5), a.data(), b.data(), beta, c.data());
          ExpectNear(c, expected, 1e-4);
        }
      }
    }
    // y = alpha op(A) x + beta y is a product with one column.
    for (bool transpose : {false, true}) {
      const int rows = transpose ? K : M, columns = transpose ? M : K;
      const std::vector<TypeParam> x = Signed<TypeParam>(columns, 2);
      std::vector<TypeParam> y = Signed<TypeParam>(rows, 6);
      const std::vector<double> expected = PlainGemm(transpose, false, rows, 1, columns, 1.5, a, x, -0.5, y);
      caffe_cpu_gemv(transpose ? CblasTrans : CblasNoTrans, M, K, TypeParam(1.5), a.data(), x.data(),
                     TypeParam(-0.5), y.data());
      ExpectNear(y, expected, 1e-4);
    }
  }
}

// A matrix within a wider one, whose other columns are neither read nor written. Of all sizes that libraries
// have kernels of their own for.
TYPED_TEST(MathFunctionsTest, ProductsOfPartsOfMatrices) {
  const auto widened = [](const std::vector<TypeParam>& dense, int width, int wider) {
    std::vector<TypeParam> wide;
    for (size_t i = 0; i < dense.size(); ++i) {
      wide.push_back(dense[i]);
      if ((i + 1) % width == 0) wide.insert(wide.end(), wider - width, std::nanf(""));
    }
    return wide;
  };
  const int sizes[][3] = {{2, 3, 4}, {17, 13, 29}, {50, 20, 152}, {101, 100, 100}};
  for (const auto& [M, N, K] : sizes) {
    const std::vector<TypeParam> a = Signed<TypeParam>(M * K, 3), b = Signed<TypeParam>(K * N, 8),
                                 c = Signed<TypeParam>(M * N, 1);
    for (const bool transpose_a : {false, true}) {
      for (const bool transpose_b : {false, true}) {
        const int a_width = transpose_a ? M : K, b_width = transpose_b ? K : N;
        const std::vector<TypeParam> wide_a = widened(a, a_width, a_width + 3),
                                     wide_b = widened(b, b_width, b_width + 1);
        std::vector<TypeParam> wide_c = widened(c, N, N + 2);
        caffe_cpu_gemm<TypeParam>(transpose_a ? CblasTrans : CblasNoTrans,
                                  transpose_b ? CblasTrans : CblasNoTrans, M, N, K, 1.5, wide_a.data(),
                                  a_width + 3, wide_b.data(), b_width + 1, -0.5, wide_c.data(), N + 2);
        const std::vector<double> expected = PlainGemm(transpose_a, transpose_b, M, N, K, 1.5, a, b, -0.5, c);
        std::vector<TypeParam> inside;
        for (int i = 0; i < M * (N + 2); ++i) {
          if (i % (N + 2) < N) {
            inside.push_back(wide_c[i]);
          } else {
            EXPECT_TRUE(std::isnan(wide_c[i])) << i;
          }
        }
        ExpectNear(inside, expected, 1e-4);
      }
    }
  }
}

TYPED_TEST(MathFunctionsTest, EmptyMatrixProducts) {
  // A sum of nothing is 0: beta still counts.
  std::vector<TypeParam> c = {1, 2, 3, 4, 5, 6};
  const TypeParam none = 0;
  for (CBLAS_TRANSPOSE transpose : {CblasNoTrans, CblasTrans}) {
    caffe_cpu_gemm(transpose, CblasNoTrans, 2, 3, 0, TypeParam(1), &none, &none, TypeParam(1), c.data());
    EXPECT_EQ(c, (std::vector<TypeParam>{1, 2, 3, 4, 5, 6}));
    caffe_cpu_gemm(transpose, CblasTrans, 0, 3, 2, TypeParam(1), &none, c.data(), TypeParam(0), c.data());
    caffe_cpu_gemm(CblasNoTrans, transpose, 2, 0, 3, TypeParam(1), c.data(), &none, TypeParam(0), c.data());
    EXPECT_EQ(c, (std::vector<TypeParam>{1, 2, 3, 4, 5, 6}));
  }
  caffe_cpu_gemm(CblasNoTrans, CblasNoTrans, 2, 3, 0, TypeParam(1), &none, &none, TypeParam(0), c.data());
  EXPECT_EQ(c, std::vector<TypeParam>(6, 0));
}

TYPED_TEST(MathFunctionsTest, TheNextNumber) {
  for (TypeParam x : {TypeParam(0), TypeParam(1), TypeParam(-2.5)}) {
    const TypeParam next = caffe_nextafter(x);
    EXPECT_GT(next, x);
    EXPECT_EQ(std::nextafter(next, -std::numeric_limits<TypeParam>::max()), x);
  }
}

// ---------------------------------------------------------------------------------------------- random
// numbers

TYPED_TEST(MathFunctionsTest, UniformNumbers) {
  const int n = 20000;
  Caffe::set_random_seed(7);
  std::vector<TypeParam> drawn(n);
  caffe_rng_uniform<TypeParam>(n, -1, 3, drawn.data());
  double sum = 0;
  int lower_quarter = 0;
  for (TypeParam x : drawn) {
    ASSERT_GE(x, -1);
    ASSERT_LE(x, 3);
    sum += x;
    lower_quarter += x < 0;
  }
  // Standard errors: 4 / sqrt(12 n) = 0.008 and sqrt(3 / 16 n) = 61.
  EXPECT_NEAR(sum / n, 1, 0.04);
  EXPECT_NEAR(lower_quarter, n / 4, 300);
  caffe_rng_uniform<TypeParam>(3, 2, 2, drawn.data());
  EXPECT_EQ(drawn[0], 2) << "an interval may be one number";
  EXPECT_TRUE(Contains(ErrorOf([&] { caffe_rng_uniform<TypeParam>(1, 2, 1, drawn.data()); }), "min <= max"));
  EXPECT_THROW(caffe_rng_uniform<TypeParam>(-1, 0, 1, drawn.data()), Error);
}

TYPED_TEST(MathFunctionsTest, NormalNumbers) {
  const int n = 20000;
  Caffe::set_random_seed(7);
  std::vector<TypeParam> drawn(n), again(n);
  caffe_rng_gaussian<TypeParam>(n, 2, 3, drawn.data());
  double sum = 0, squares = 0;
  int within_one = 0;
  for (TypeParam x : drawn) {
    sum += x;
    squares += (x - 2) * (x - 2);
    within_one += std::fabs(x - 2) < 3;
  }
  EXPECT_NEAR(sum / n, 2, 0.1);
  EXPECT_NEAR(std::sqrt(squares / n), 3, 0.1);
  EXPECT_NEAR(within_one / double(n), 0.6827, 0.02);
  Caffe::set_random_seed(7);
  caffe_rng_gaussian<TypeParam>(n, 2, 3, again.data());
  EXPECT_EQ(again, drawn);
  EXPECT_TRUE(Contains(ErrorOf([&] { caffe_rng_gaussian<TypeParam>(1, 0, 0, drawn.data()); }),
                       "positive standard deviation"));
}

TYPED_TEST(MathFunctionsTest, BernoulliNumbers) {
  const int n = 20000;
  Caffe::set_random_seed(7);
  std::vector<int> drawn(n, -1);
  caffe_rng_bernoulli<TypeParam>(n, 0.3, drawn.data());
  const int ones = static_cast<int>(std::count(drawn.begin(), drawn.end(), 1));
  EXPECT_EQ(std::count(drawn.begin(), drawn.end(), 0), n - ones);
  EXPECT_NEAR(ones, 0.3 * n, 400);
  std::vector<unsigned int> unsigned_drawn(n);
  Caffe::set_random_seed(7);
  caffe_rng_bernoulli<TypeParam>(n, 0.3, unsigned_drawn.data());
  EXPECT_TRUE(std::equal(drawn.begin(), drawn.end(), unsigned_drawn.begin(),
                         [](int a, unsigned b) { return a == int(b); }));
  caffe_rng_bernoulli<TypeParam>(n, 0, drawn.data());
  EXPECT_EQ(std::count(drawn.begin(), drawn.end(), 1), 0);
  caffe_rng_bernoulli<TypeParam>(n, 1, drawn.data());
  EXPECT_EQ(std::count(drawn.begin(), drawn.end(), 1), n);
  EXPECT_TRUE(
      Contains(ErrorOf([&] { caffe_rng_bernoulli<TypeParam>(1, 1.5, drawn.data()); }), "must lie in [0, 1]"));
}

}  // namespace caffe
