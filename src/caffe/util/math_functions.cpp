#include "caffe/util/math_functions.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "caffe/util/engine_choice.hpp"
#include "caffe/util/onednn_library.hpp"
#include "caffe/util/parallel_for.hpp"
#include "caffe/util/rng.hpp"

namespace caffe {

namespace {

// y[i] = f(i), long arrays on several threads.
template <typename Dtype, typename Function>
void Map(const int n, Dtype* y, Function f) {
  ParallelFor(n, kElementGrain, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) y[i] = f(i);
  });
}

// OpenBLAS's kernels for AVX-512 have others beside them for products of up to 100^3 multiplications, which
// are up to twice as fast as oneDNN's.
bool HasKernelsForSmallProducts() {
  const string core = openblas_get_corename();
  return core == "SkylakeX" || core == "Cooperlake" || core == "SapphireRapids";
}

// oneDNN compiles its products for the processor that it finds; an OpenBLAS older than the processor takes it
// for the first of 64 bits, and is up to five times slower. Small products are not worth loading oneDNN for.
const OneDnnLibrary* OneDnnForProduct(int64_t multiplications) {
  static const int64_t worthwhile = HasKernelsForSmallProducts() ? 1000 * 1000 + 1 : 1 << 16;
  return multiplications >= worthwhile && MayUseLibraries(false) ? GetOneDnn() : nullptr;
}

char Letter(CBLAS_TRANSPOSE trans) { return trans == CblasNoTrans ? 'N' : 'T'; }

}  // namespace

template <>
void caffe_cpu_gemm<float>(const CBLAS_TRANSPOSE TransA, const CBLAS_TRANSPOSE TransB, const int M,
                           const int N, const int K, const float alpha, const float* A, const int lda,
                           const float* B, const int ldb, const float beta, float* C, const int ldc) {
  if (const OneDnnLibrary* const library = OneDnnForProduct(static_cast<int64_t>(M) * N * K)) {
    if (library->sgemm(Letter(TransA), Letter(TransB), M, N, K, alpha, A, lda, B, ldb, beta, C, ldc)) return;
  }
  cblas_sgemm(CblasRowMajor, TransA, TransB, M, N, K, alpha, A, lda, B, ldb, beta, C, ldc);
}

template <>
void caffe_cpu_gemm<double>(const CBLAS_TRANSPOSE TransA, const CBLAS_TRANSPOSE TransB, const int M,
                            const int N, const int K, const double alpha, const double* A, const int lda,
                            const double* B, const int ldb, const double beta, double* C, const int ldc) {
  cblas_dgemm(CblasRowMajor, TransA, TransB, M, N, K, alpha, A, lda, B, ldb, beta, C, ldc);
}

template <typename Dtype>
void caffe_cpu_gemm(const CBLAS_TRANSPOSE TransA, const CBLAS_TRANSPOSE TransB, const int M, const int N,
                    const int K, const Dtype alpha, const Dtype* A, const Dtype* B, const Dtype beta,
                    Dtype* C) {
  caffe_cpu_gemm<Dtype>(TransA, TransB, M, N, K, alpha, A, TransA == CblasNoTrans ? K : M, B,
                        TransB == CblasNoTrans ? N : K, beta, C, N);
}
template void caffe_cpu_gemm<float>(const CBLAS_TRANSPOSE, const CBLAS_TRANSPOSE, const int, const int,
                                    const int, const float, const float*, const float*, const float, float*);
template void caffe_cpu_gemm<double>(const CBLAS_TRANSPOSE, const CBLAS_TRANSPOSE, const int, const int,
                                     const int, const double, const double*, const double*, const double,
                                     double*);

template <>
void caffe_cpu_gemv<float>(const CBLAS_TRANSPOSE TransA, const int M, const int N, const float alpha,
                           const float* A, const float* x, const float beta, float* y) {
  cblas_sgemv(CblasRowMajor, TransA, M, N, alpha, A, N, x, 1, beta, y, 1);
}

template <>
void caffe_cpu_gemv<double>(const CBLAS_TRANSPOSE TransA, const int M, const int N, const double alpha,
                            const double* A, const double* x, const double beta, double* y) {
  cblas_dgemv(CblasRowMajor, TransA, M, N, alpha, A, N, x, 1, beta, y, 1);
}

template <>
void caffe_axpy<float>(const int N, const float alpha, const float* X, float* Y) {
  cblas_saxpy(N, alpha, X, 1, Y, 1);
}

template <>
void caffe_axpy<double>(const int N, const double alpha, const double* X, double* Y) {
  cblas_daxpy(N, alpha, X, 1, Y, 1);
}

template <typename Dtype>
void caffe_cpu_axpby(const int N, const Dtype alpha, const Dtype* X, const Dtype beta, Dtype* Y) {
  Map(N, Y, [=](int64_t i) { return alpha * X[i] + beta * Y[i]; });
}
template void caffe_cpu_axpby<float>(const int, const float, const float*, const float, float*);
template void caffe_cpu_axpby<double>(const int, const double, const double*, const double, double*);

template <typename Dtype>
void caffe_copy(const int N, const Dtype* X, Dtype* Y) {
  if (X == Y || N <= 0) return;
#ifndef CPU_ONLY
  if (Caffe::mode() == Caffe::GPU) return caffe_gpu_memcpy(sizeof(Dtype) * static_cast<size_t>(N), X, Y);
#endif
  std::memcpy(Y, X, sizeof(Dtype) * static_cast<size_t>(N));
}
template void caffe_copy<int>(const int, const int*, int*);
template void caffe_copy<unsigned int>(const int, const unsigned int*, unsigned int*);
template void caffe_copy<float>(const int, const float*, float*);
template void caffe_copy<double>(const int, const double*, double*);

template <typename Dtype>
void caffe_set(const int N, const Dtype alpha, Dtype* X) {
  std::fill_n(X, std::max(N, 0), alpha);
}
template void caffe_set<int>(const int, const int, int*);
template void caffe_set<float>(const int, const float, float*);
template void caffe_set<double>(const int, const double, double*);

template <typename Dtype>
void caffe_add_scalar(const int N, const Dtype alpha, Dtype* X) {
  Map(N, X, [=](int64_t i) { return X[i] + alpha; });
}
template void caffe_add_scalar<float>(const int, const float, float*);
template void caffe_add_scalar<double>(const int, const double, double*);

template <>
void caffe_scal<float>(const int N, const float alpha, float* X) {
  cblas_sscal(N, alpha, X, 1);
}

template <>
void caffe_scal<double>(const int N, const double alpha, double* X) {
  cblas_dscal(N, alpha, X, 1);
}

template <typename Dtype>
void caffe_cpu_scale(const int n, const Dtype alpha, const Dtype* x, Dtype* y) {
  Map(n, y, [=](int64_t i) { return alpha * x[i]; });
}
template void caffe_cpu_scale<float>(const int, const float, const float*, float*);
template void caffe_cpu_scale<double>(const int, const double, const double*, double*);

#define CAFFE_DEFINE_UNARY(name, expression)                   \
  template <typename Dtype>                                    \
  void name(const int n, const Dtype* a, Dtype* y) {           \
    Map(n, y, [=](int64_t i) -> Dtype { return expression; }); \
  }                                                            \
  template void name<float>(const int, const float*, float*);  \
  template void name<double>(const int, const double*, double*)
CAFFE_DEFINE_UNARY(caffe_sqr, a[i] * a[i]);
CAFFE_DEFINE_UNARY(caffe_sqrt, std::sqrt(a[i]));
CAFFE_DEFINE_UNARY(caffe_exp, std::exp(a[i]));
CAFFE_DEFINE_UNARY(caffe_log, std::log(a[i]));
CAFFE_DEFINE_UNARY(caffe_abs, std::fabs(a[i]));
CAFFE_DEFINE_UNARY(caffe_cpu_sign, caffe_sign(a[i]));
CAFFE_DEFINE_UNARY(caffe_cpu_sgnbit, std::signbit(a[i]) ? 1 : 0);
CAFFE_DEFINE_UNARY(caffe_cpu_fabs, std::fabs(a[i]));
#undef CAFFE_DEFINE_UNARY

#define CAFFE_DEFINE_BINARY(name, op)                                       \
  template <typename Dtype>                                                 \
  void name(const int N, const Dtype* a, const Dtype* b, Dtype* y) {        \
    Map(N, y, [=](int64_t i) { return a[i] op b[i]; });                     \
  }                                                                         \
  template void name<float>(const int, const float*, const float*, float*); \
  template void name<double>(const int, const double*, const double*, double*)
CAFFE_DEFINE_BINARY(caffe_add, +);
CAFFE_DEFINE_BINARY(caffe_sub, -);
CAFFE_DEFINE_BINARY(caffe_mul, *);
CAFFE_DEFINE_BINARY(caffe_div, /);
#undef CAFFE_DEFINE_BINARY

template <typename Dtype>
void caffe_powx(const int n, const Dtype* a, const Dtype b, Dtype* y) {
  Map(n, y, [=](int64_t i) { return std::pow(a[i], b); });
}
template void caffe_powx<float>(const int, const float*, const float, float*);
template void caffe_powx<double>(const int, const double*, const double, double*);

unsigned int caffe_rng_rand() { return static_cast<unsigned int>((*caffe_rng())()); }

template <typename Dtype>
Dtype caffe_nextafter(const Dtype b) {
  return std::nextafter(b, std::numeric_limits<Dtype>::max());
}
template float caffe_nextafter(const float);
template double caffe_nextafter(const double);

template <typename Dtype>
void caffe_rng_uniform(const int n, const Dtype a, const Dtype b, Dtype* r) {
  CHECK_GE(n, 0);
  CHECK(r);
  CHECK_LE(a, b) << "a uniform distribution needs min <= max";
  std::uniform_real_distribution<Dtype> uniform(a, caffe_nextafter(b));
  std::generate_n(r, n, [&] { return std::min(uniform(*caffe_rng()), b); });
}
template void caffe_rng_uniform<float>(const int, const float, const float, float*);
template void caffe_rng_uniform<double>(const int, const double, const double, double*);

template <typename Dtype>
void caffe_rng_gaussian(const int n, const Dtype mu, const Dtype sigma, Dtype* r) {
  CHECK_GE(n, 0);
  CHECK(r);
  CHECK_GT(sigma, 0) << "a normal distribution needs a positive standard deviation";
  std::normal_distribution<Dtype> normal(mu, sigma);
  std::generate_n(r, n, [&] { return normal(*caffe_rng()); });
}
template void caffe_rng_gaussian<float>(const int, const float, const float, float*);
template void caffe_rng_gaussian<double>(const int, const double, const double, double*);

namespace {

template <typename Dtype, typename Integer>
void FillBernoulli(const int n, const Dtype p, Integer* r) {
  CHECK_GE(n, 0);
  CHECK(r);
  CHECK(p >= 0 && p <= 1) << "a probability must lie in [0, 1], not " << p;
  // One number each, where std::bernoulli_distribution takes two.
  rng_t& random = *caffe_rng();
  constexpr double kNumbers = 1. + rng_t::max();
  const auto below = static_cast<uint64_t>(p * kNumbers);
  std::generate_n(r, n, [&] { return static_cast<Integer>(random() < below); });
}

}  // namespace

template <typename Dtype>
void caffe_rng_bernoulli(const int n, const Dtype p, int* r) {
  FillBernoulli(n, p, r);
}
template void caffe_rng_bernoulli<float>(const int, const float, int*);
template void caffe_rng_bernoulli<double>(const int, const double, int*);

template <typename Dtype>
void caffe_rng_bernoulli(const int n, const Dtype p, unsigned int* r) {
  FillBernoulli(n, p, r);
}
template void caffe_rng_bernoulli<float>(const int, const float, unsigned int*);
template void caffe_rng_bernoulli<double>(const int, const double, unsigned int*);

template <>
float caffe_cpu_strided_dot<float>(const int n, const float* x, const int incx, const float* y,
                                   const int incy) {
  return cblas_sdot(n, x, incx, y, incy);
}

template <>
double caffe_cpu_strided_dot<double>(const int n, const double* x, const int incx, const double* y,
                                     const int incy) {
  return cblas_ddot(n, x, incx, y, incy);
}

template <typename Dtype>
Dtype caffe_cpu_dot(const int n, const Dtype* x, const Dtype* y) {
  return caffe_cpu_strided_dot(n, x, 1, y, 1);
}
template float caffe_cpu_dot<float>(const int, const float*, const float*);
template double caffe_cpu_dot<double>(const int, const double*, const double*);

template <>
float caffe_cpu_asum<float>(const int n, const float* x) {
  return cblas_sasum(n, x, 1);
}

template <>
double caffe_cpu_asum<double>(const int n, const double* x) {
  return cblas_dasum(n, x, 1);
}

}  // namespace caffe
