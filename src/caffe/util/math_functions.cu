#include "caffe/util/math_functions.hpp"

#include <cmath>

#include "caffe/util/gpu_launch.cuh"

namespace caffe {

namespace {

cublasOperation_t Operation(CBLAS_TRANSPOSE transpose) {
  return transpose == CblasNoTrans ? CUBLAS_OP_N : CUBLAS_OP_T;
}

// cuBLAS writes results to the host, and waits for them.
cublasHandle_t HandleForHostScalars() {
  const cublasHandle_t handle = Caffe::cublas_handle();
  CUBLAS_CHECK(cublasSetPointerMode(handle, CUBLAS_POINTER_MODE_HOST));
  return handle;
}

}  // namespace

// cuBLAS counts by columns, so that a row-major product is that of the transposed, in the other order.
template <>
void caffe_gpu_gemm<float>(const CBLAS_TRANSPOSE TransA, const CBLAS_TRANSPOSE TransB, const int M,
                           const int N, const int K, const float alpha, const float* A, const float* B,
                           const float beta, float* C) {
  CUBLAS_CHECK(cublasSgemm(HandleForHostScalars(), Operation(TransB), Operation(TransA), N, M, K, &alpha, B,
                           TransB == CblasNoTrans ? N : K, A, TransA == CblasNoTrans ? K : M, &beta, C, N));
}

template <>
void caffe_gpu_gemm<double>(const CBLAS_TRANSPOSE TransA, const CBLAS_TRANSPOSE TransB, const int M,
                            const int N, const int K, const double alpha, const double* A, const double* B,
                            const double beta, double* C) {
  CUBLAS_CHECK(cublasDgemm(HandleForHostScalars(), Operation(TransB), Operation(TransA), N, M, K, &alpha, B,
                           TransB == CblasNoTrans ? N : K, A, TransA == CblasNoTrans ? K : M, &beta, C, N));
}

template <>
void caffe_gpu_gemv<float>(const CBLAS_TRANSPOSE TransA, const int M, const int N, const float alpha,
                           const float* A, const float* x, const float beta, float* y) {
  CUBLAS_CHECK(cublasSgemv(HandleForHostScalars(), TransA == CblasNoTrans ? CUBLAS_OP_T : CUBLAS_OP_N, N, M,
                           &alpha, A, N, x, 1, &beta, y, 1));
}

template <>
void caffe_gpu_gemv<double>(const CBLAS_TRANSPOSE TransA, const int M, const int N, const double alpha,
                            const double* A, const double* x, const double beta, double* y) {
  CUBLAS_CHECK(cublasDgemv(HandleForHostScalars(), TransA == CblasNoTrans ? CUBLAS_OP_T : CUBLAS_OP_N, N, M,
                           &alpha, A, N, x, 1, &beta, y, 1));
}

template <>
void caffe_gpu_axpy<float>(const int N, const float alpha, const float* X, float* Y) {
  CUBLAS_CHECK(cublasSaxpy(HandleForHostScalars(), N, &alpha, X, 1, Y, 1));
}

template <>
void caffe_gpu_axpy<double>(const int N, const double alpha, const double* X, double* Y) {
  CUBLAS_CHECK(cublasDaxpy(HandleForHostScalars(), N, &alpha, X, 1, Y, 1));
}

template <typename Dtype>
void caffe_gpu_axpby(const int N, const Dtype alpha, const Dtype* X, const Dtype beta, Dtype* Y) {
  GpuForEach(N, [=] __device__(int i) { Y[i] = alpha * X[i] + beta * Y[i]; });
}
template void caffe_gpu_axpby<float>(const int, const float, const float*, const float, float*);
template void caffe_gpu_axpby<double>(const int, const double, const double*, const double, double*);

void caffe_gpu_memcpy(const size_t N, const void* X, void* Y) {
  if (X != Y) CUDA_CHECK(cudaMemcpy(Y, X, N, cudaMemcpyDefault));
}

template <typename Dtype>
void caffe_gpu_set(const int N, const Dtype alpha, Dtype* X) {
  if (alpha == 0) {
    CUDA_CHECK(cudaMemsetAsync(X, 0, sizeof(Dtype) * static_cast<size_t>(N), cudaStreamPerThread));
    return;
  }
  GpuForEach(N, [=] __device__(int i) { X[i] = alpha; });
}
template void caffe_gpu_set<int>(const int, const int, int*);
template void caffe_gpu_set<float>(const int, const float, float*);
template void caffe_gpu_set<double>(const int, const double, double*);

template <typename Dtype>
void caffe_gpu_add_scalar(const int N, const Dtype alpha, Dtype* X) {
  GpuForEach(N, [=] __device__(int i) { X[i] += alpha; });
}
template void caffe_gpu_add_scalar<float>(const int, const float, float*);
template void caffe_gpu_add_scalar<double>(const int, const double, double*);

template <>
void caffe_gpu_scal<float>(const int N, const float alpha, float* X) {
  CUBLAS_CHECK(cublasSscal(HandleForHostScalars(), N, &alpha, X, 1));
}

template <>
void caffe_gpu_scal<double>(const int N, const double alpha, double* X) {
  CUBLAS_CHECK(cublasDscal(HandleForHostScalars(), N, &alpha, X, 1));
}

namespace {

// Lets this thread's handle work on another stream for as long as it lives.
class CublasStream {
 public:
  explicit CublasStream(cudaStream_t stream) : handle_(HandleForHostScalars()) {
    CUBLAS_CHECK(cublasGetStream(handle_, &before_));
    CUBLAS_CHECK(cublasSetStream(handle_, stream));
  }
  ~CublasStream() { cublasSetStream(handle_, before_); }

 private:
  cublasHandle_t handle_;
  cudaStream_t before_ = nullptr;
};

}  // namespace

template <typename Dtype>
void caffe_gpu_scal(const int N, const Dtype alpha, Dtype* X, cudaStream_t str) {
  const CublasStream stream(str);
  caffe_gpu_scal(N, alpha, X);
}
template void caffe_gpu_scal<float>(const int, const float, float*, cudaStream_t);
template void caffe_gpu_scal<double>(const int, const double, double*, cudaStream_t);

template <typename Dtype>
void caffe_gpu_scale(const int n, const Dtype alpha, const Dtype* x, Dtype* y) {
  GpuForEach(n, [=] __device__(int i) { y[i] = alpha * x[i]; });
}
template void caffe_gpu_scale<float>(const int, const float, const float*, float*);
template void caffe_gpu_scale<double>(const int, const double, const double*, double*);

#define CAFFE_DEFINE_GPU_UNARY(name, expression)                        \
  template <typename Dtype>                                             \
  void name(const int n, const Dtype* a, Dtype* y) {                    \
    GpuForEach(n, [=] __device__(int i) { y[i] = Dtype(expression); }); \
  }                                                                     \
  template void name<float>(const int, const float*, float*);           \
  template void name<double>(const int, const double*, double*)
CAFFE_DEFINE_GPU_UNARY(caffe_gpu_sqrt, std::sqrt(a[i]));
CAFFE_DEFINE_GPU_UNARY(caffe_gpu_exp, std::exp(a[i]));
CAFFE_DEFINE_GPU_UNARY(caffe_gpu_log, std::log(a[i]));
CAFFE_DEFINE_GPU_UNARY(caffe_gpu_abs, std::fabs(a[i]));
CAFFE_DEFINE_GPU_UNARY(caffe_gpu_fabs, std::fabs(a[i]));
CAFFE_DEFINE_GPU_UNARY(caffe_gpu_sign, caffe_sign(a[i]));
CAFFE_DEFINE_GPU_UNARY(caffe_gpu_sgnbit, std::signbit(a[i]) ? 1 : 0);
#undef CAFFE_DEFINE_GPU_UNARY

#define CAFFE_DEFINE_GPU_BINARY(name, op)                                   \
  template <typename Dtype>                                                 \
  void name(const int N, const Dtype* a, const Dtype* b, Dtype* y) {        \
    GpuForEach(N, [=] __device__(int i) { y[i] = a[i] op b[i]; });          \
  }                                                                         \
  template void name<float>(const int, const float*, const float*, float*); \
  template void name<double>(const int, const double*, const double*, double*)
CAFFE_DEFINE_GPU_BINARY(caffe_gpu_add, +);
CAFFE_DEFINE_GPU_BINARY(caffe_gpu_sub, -);
CAFFE_DEFINE_GPU_BINARY(caffe_gpu_mul, *);
CAFFE_DEFINE_GPU_BINARY(caffe_gpu_div, /);
#undef CAFFE_DEFINE_GPU_BINARY

template <typename Dtype>
void caffe_gpu_powx(const int n, const Dtype* a, const Dtype b, Dtype* y) {
  GpuForEach(n, [=] __device__(int i) { y[i] = std::pow(a[i], b); });
}
template void caffe_gpu_powx<float>(const int, const float*, const float, float*);
template void caffe_gpu_powx<double>(const int, const double*, const double, double*);

void caffe_gpu_rng_uniform(const int n, unsigned int* r) {
  CURAND_CHECK(curandGenerate(Caffe::curand_generator(), r, n));
}

namespace {

void GenerateUniform(int n, float* r) {
  CURAND_CHECK(curandGenerateUniform(Caffe::curand_generator(), r, n));
}
void GenerateUniform(int n, double* r) {
  CURAND_CHECK(curandGenerateUniformDouble(Caffe::curand_generator(), r, n));
}
void GenerateNormal(int n, float mu, float sigma, float* r) {
  CURAND_CHECK(curandGenerateNormal(Caffe::curand_generator(), r, n, mu, sigma));
}
void GenerateNormal(int n, double mu, double sigma, double* r) {
  CURAND_CHECK(curandGenerateNormalDouble(Caffe::curand_generator(), r, n, mu, sigma));
}

}  // namespace

template <typename Dtype>
void caffe_gpu_rng_uniform(const int n, const Dtype a, const Dtype b, Dtype* r) {
  CHECK_LE(a, b) << "a uniform distribution needs min <= max";
  GenerateUniform(n, r);
  const Dtype range = b - a;
  if (a == 0 && range == 1) return;
  GpuForEach(n, [=] __device__(int i) { r[i] = a + range * r[i]; });
}
template void caffe_gpu_rng_uniform<float>(const int, const float, const float, float*);
template void caffe_gpu_rng_uniform<double>(const int, const double, const double, double*);

template <typename Dtype>
void caffe_gpu_rng_gaussian(const int n, const Dtype mu, const Dtype sigma, Dtype* r) {
  CHECK_GT(sigma, 0) << "a normal distribution needs a positive standard deviation";
  // cuRAND makes normal numbers in pairs.
  const int paired = n / 2 * 2;
  if (paired > 0) GenerateNormal(paired, mu, sigma, r);
  if (paired == n) return;
  const GpuArray<Dtype> pair(2);
  GenerateNormal(2, mu, sigma, pair.get());
  caffe_gpu_memcpy(sizeof(Dtype), pair.get(), r + paired);
}
template void caffe_gpu_rng_gaussian<float>(const int, const float, const float, float*);
template void caffe_gpu_rng_gaussian<double>(const int, const double, const double, double*);

template <typename Dtype>
void caffe_gpu_rng_bernoulli(const int n, const Dtype p, int* r) {
  CHECK(p >= 0 && p <= 1) << "a probability must lie in [0, 1], not " << p;
  const GpuArray<Dtype> drawn(n);
  Dtype* const uniform = drawn.get();
  GenerateUniform(n, uniform);
  // Uniform on (0, 1]: never at most 0, always at most 1.
  GpuForEach(n, [=] __device__(int i) { r[i] = uniform[i] <= p; });
}
template void caffe_gpu_rng_bernoulli<float>(const int, const float, int*);
template void caffe_gpu_rng_bernoulli<double>(const int, const double, int*);

template <>
void caffe_gpu_dot<float>(const int n, const float* x, const float* y, float* out) {
  CUBLAS_CHECK(cublasSdot(HandleForHostScalars(), n, x, 1, y, 1, out));
}

template <>
void caffe_gpu_dot<double>(const int n, const double* x, const double* y, double* out) {
  CUBLAS_CHECK(cublasDdot(HandleForHostScalars(), n, x, 1, y, 1, out));
}

template <>
void caffe_gpu_asum<float>(const int n, const float* x, float* y) {
  CUBLAS_CHECK(cublasSasum(HandleForHostScalars(), n, x, 1, y));
}

template <>
void caffe_gpu_asum<double>(const int n, const double* x, double* y) {
  CUBLAS_CHECK(cublasDasum(HandleForHostScalars(), n, x, 1, y));
}

}  // namespace caffe
