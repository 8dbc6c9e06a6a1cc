#ifndef CAFFE_UTIL_MATH_FUNCTIONS_H_
#define CAFFE_UTIL_MATH_FUNCTIONS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "caffe/common.hpp"
#include "caffe/util/device_alternate.hpp"
#include "caffe/util/mkl_alternate.hpp"

namespace caffe {

/// C = alpha op(A) op(B) + beta C with op(A) M x K, op(B) K x N and C M x N, all row-major and dense.
template <typename Dtype>
void caffe_cpu_gemm(const CBLAS_TRANSPOSE TransA, const CBLAS_TRANSPOSE TransB, const int M, const int N,
                    const int K, const Dtype alpha, const Dtype* A, const Dtype* B, const Dtype beta,
                    Dtype* C);

/// The same of matrices whose rows begin lda, ldb and ldc after the one before; float and double.
template <typename Dtype>
void caffe_cpu_gemm(const CBLAS_TRANSPOSE TransA, const CBLAS_TRANSPOSE TransB, const int M, const int N,
                    const int K, const Dtype alpha, const Dtype* A, const int lda, const Dtype* B,
                    const int ldb, const Dtype beta, Dtype* C, const int ldc);

/// y = alpha op(A) x + beta y with A M x N, row-major and dense.
template <typename Dtype>
void caffe_cpu_gemv(const CBLAS_TRANSPOSE TransA, const int M, const int N, const Dtype alpha, const Dtype* A,
                    const Dtype* x, const Dtype beta, Dtype* y);

/// Y = alpha X + Y
template <typename Dtype>
void caffe_axpy(const int N, const Dtype alpha, const Dtype* X, Dtype* Y);

/// Y = alpha X + beta Y
template <typename Dtype>
void caffe_cpu_axpby(const int N, const Dtype alpha, const Dtype* X, const Dtype beta, Dtype* Y);

/// Y = X, between any two places that the current mode can reach; nothing happens for X == Y.
template <typename Dtype>
void caffe_copy(const int N, const Dtype* X, Dtype* Y);

template <typename Dtype>
void caffe_set(const int N, const Dtype alpha, Dtype* X);

/// Sets N bytes.
inline void caffe_memset(const size_t N, const int alpha, void* X) { std::memset(X, alpha, N); }

template <typename Dtype>
void caffe_add_scalar(const int N, const Dtype alpha, Dtype* X);

template <typename Dtype>
void caffe_scal(const int N, const Dtype alpha, Dtype* X);

/// y = alpha x
template <typename Dtype>
void caffe_cpu_scale(const int n, const Dtype alpha, const Dtype* x, Dtype* y);

// Element by element; the output may be an input.
template <typename Dtype>
void caffe_sqr(const int N, const Dtype* a, Dtype* y);
template <typename Dtype>
void caffe_sqrt(const int N, const Dtype* a, Dtype* y);
template <typename Dtype>
void caffe_add(const int N, const Dtype* a, const Dtype* b, Dtype* y);
template <typename Dtype>
void caffe_sub(const int N, const Dtype* a, const Dtype* b, Dtype* y);
template <typename Dtype>
void caffe_mul(const int N, const Dtype* a, const Dtype* b, Dtype* y);
template <typename Dtype>
void caffe_div(const int N, const Dtype* a, const Dtype* b, Dtype* y);
template <typename Dtype>
void caffe_powx(const int n, const Dtype* a, const Dtype b, Dtype* y);
template <typename Dtype>
void caffe_exp(const int n, const Dtype* a, Dtype* y);
template <typename Dtype>
void caffe_log(const int n, const Dtype* a, Dtype* y);
template <typename Dtype>
void caffe_abs(const int n, const Dtype* a, Dtype* y);
template <typename Dtype>
void caffe_cpu_sign(const int n, const Dtype* x, Dtype* y);
/// 1 for a negative number, else 0.
template <typename Dtype>
void caffe_cpu_sgnbit(const int n, const Dtype* x, Dtype* y);
template <typename Dtype>
void caffe_cpu_fabs(const int n, const Dtype* x, Dtype* y);

unsigned int caffe_rng_rand();
/// The next number of Dtype above b.
template <typename Dtype>
Dtype caffe_nextafter(const Dtype b);
/// Uniform on [a, b].
template <typename Dtype>
void caffe_rng_uniform(const int n, const Dtype a, const Dtype b, Dtype* r);
/// Normal with mean mu and standard deviation sigma > 0.
template <typename Dtype>
void caffe_rng_gaussian(const int n, const Dtype mu, const Dtype sigma, Dtype* r);
/// 1 with probability p in [0, 1], else 0.
template <typename Dtype>
void caffe_rng_bernoulli(const int n, const Dtype p, int* r);
template <typename Dtype>
void caffe_rng_bernoulli(const int n, const Dtype p, unsigned int* r);

template <typename Dtype>
Dtype caffe_cpu_dot(const int n, const Dtype* x, const Dtype* y);
template <typename Dtype>
Dtype caffe_cpu_strided_dot(const int n, const Dtype* x, const int incx, const Dtype* y, const int incy);
/// Sum of absolute values.
template <typename Dtype>
Dtype caffe_cpu_asum(const int n, const Dtype* x);

/// Defines caffe_cpu_NAME(n, x, y), which runs `operation` for each i below n.
#define DEFINE_CAFFE_CPU_UNARY_FUNC(name, operation)                    \
  template <typename Dtype>                                             \
  void caffe_cpu_##name(const int n, const Dtype* x, Dtype* y) {        \
    CHECK_GE(n, 0) << "caffe_cpu_" #name " needs a number of elements"; \
    for (int i = 0; i < n; ++i) {                                       \
      operation;                                                        \
    }                                                                   \
  }

/// -1, 0 or +1.
template <typename Dtype>
CAFFE_HOST_DEVICE inline int8_t caffe_sign(Dtype val) {
  return static_cast<int8_t>((Dtype(0) < val) - (val < Dtype(0)));
}

#ifndef CPU_ONLY

// The same on the GPU, where all pointers lead to its memory. Sums are written to the host.
template <typename Dtype>
void caffe_gpu_gemm(const CBLAS_TRANSPOSE TransA, const CBLAS_TRANSPOSE TransB, const int M, const int N,
                    const int K, const Dtype alpha, const Dtype* A, const Dtype* B, const Dtype beta,
                    Dtype* C);
template <typename Dtype>
void caffe_gpu_gemv(const CBLAS_TRANSPOSE TransA, const int M, const int N, const Dtype alpha, const Dtype* A,
                    const Dtype* x, const Dtype beta, Dtype* y);
template <typename Dtype>
void caffe_gpu_axpy(const int N, const Dtype alpha, const Dtype* X, Dtype* Y);
template <typename Dtype>
void caffe_gpu_axpby(const int N, const Dtype alpha, const Dtype* X, const Dtype beta, Dtype* Y);
/// Copies N bytes between any two places; nothing happens for X == Y.
void caffe_gpu_memcpy(const size_t N, const void* X, void* Y);
template <typename Dtype>
void caffe_gpu_set(const int N, const Dtype alpha, Dtype* X);
inline void caffe_gpu_memset(const size_t N, const int alpha, void* X) {
  CUDA_CHECK(cudaMemset(X, alpha, N));
}
template <typename Dtype>
void caffe_gpu_add_scalar(const int N, const Dtype alpha, Dtype* X);
template <typename Dtype>
void caffe_gpu_scal(const int N, const Dtype alpha, Dtype* X);
template <typename Dtype>
void caffe_gpu_scal(const int N, const Dtype alpha, Dtype* X, cudaStream_t str);
template <typename Dtype>
void caffe_gpu_scale(const int n, const Dtype alpha, const Dtype* x, Dtype* y);
template <typename Dtype>
void caffe_gpu_add(const int N, const Dtype* a, const Dtype* b, Dtype* y);
template <typename Dtype>
void caffe_gpu_sub(const int N, const Dtype* a, const Dtype* b, Dtype* y);
template <typename Dtype>
void caffe_gpu_mul(const int N, const Dtype* a, const Dtype* b, Dtype* y);
template <typename Dtype>
void caffe_gpu_div(const int N, const Dtype* a, const Dtype* b, Dtype* y);
template <typename Dtype>
void caffe_gpu_abs(const int n, const Dtype* a, Dtype* y);
template <typename Dtype>
void caffe_gpu_exp(const int n, const Dtype* a, Dtype* y);
template <typename Dtype>
void caffe_gpu_log(const int n, const Dtype* a, Dtype* y);
template <typename Dtype>
void caffe_gpu_powx(const int n, const Dtype* a, const Dtype b, Dtype* y);
template <typename Dtype>
void caffe_gpu_sqrt(const int n, const Dtype* a, Dtype* y);
template <typename Dtype>
void caffe_gpu_sign(const int n, const Dtype* x, Dtype* y);
template <typename Dtype>
void caffe_gpu_sgnbit(const int n, const Dtype* x, Dtype* y);
template <typename Dtype>
void caffe_gpu_fabs(const int n, const Dtype* x, Dtype* y);
/// All 32 bits random.
void caffe_gpu_rng_uniform(const int n, unsigned int* r);
/// Uniform on (a, b].
template <typename Dtype>
void caffe_gpu_rng_uniform(const int n, const Dtype a, const Dtype b, Dtype* r);
template <typename Dtype>
void caffe_gpu_rng_gaussian(const int n, const Dtype mu, const Dtype sigma, Dtype* r);
template <typename Dtype>
void caffe_gpu_rng_bernoulli(const int n, const Dtype p, int* r);
template <typename Dtype>
void caffe_gpu_dot(const int n, const Dtype* x, const Dtype* y, Dtype* out);
template <typename Dtype>
void caffe_gpu_asum(const int n, const Dtype* x, Dtype* y);

/// Defines caffe_gpu_NAME(n, x, y) for float and double: a kernel that runs `operation` for each `index`.
#define DEFINE_AND_INSTANTIATE_GPU_UNARY_FUNC(name, operation)                      \
  template <typename Dtype>                                                         \
  __global__ void name##_kernel(const int n, const Dtype* x, Dtype* y) {            \
    CUDA_KERNEL_LOOP(index, n) { operation; }                                       \
  }                                                                                 \
  template <typename Dtype>                                                         \
  void caffe_gpu_##name(const int n, const Dtype* x, Dtype* y) {                    \
    name##_kernel<Dtype><<<CAFFE_GET_BLOCKS(n), CAFFE_CUDA_NUM_THREADS>>>(n, x, y); \
    CUDA_POST_KERNEL_CHECK;                                                         \
  }                                                                                 \
  template void caffe_gpu_##name<float>(const int n, const float* x, float* y);     \
  template void caffe_gpu_##name<double>(const int n, const double* x, double* y)

#endif  // !CPU_ONLY

}  // namespace caffe

#endif  // CAFFE_UTIL_MATH_FUNCTIONS_H_
