// cuBLAS: products of matrices by the CPU's BLAS, the rest by loops. Each function checks its operands when
// it is called, and computes in the stream of its handle.

#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <type_traits>
#include <vector>

#include "cublas_v2.h"
#include "gpu_emulator.h"
#include "state.hpp"
#include "streams.hpp"

struct cublasContext {
  int device = 0;
  cudaStream_t stream = nullptr;
  cublasPointerMode_t pointer_mode = CUBLAS_POINTER_MODE_HOST;
  cublasMath_t math_mode = CUBLAS_DEFAULT_MATH;
};

namespace gpu_emulator {
namespace {

#define RETURN_UNLESS_SUCCESS(expression)                          \
  do {                                                             \
    if (const cublasStatus_t status = (expression)) return status; \
  } while (0)

/// cuBLAS reads and writes with a stride; a negative one starts at the end.
template <typename T>
class Vector {
 public:
  Vector(T* data, int n, int inc)
      : first_(inc < 0 ? data - static_cast<int64_t>(n - 1) * inc : data), inc_(inc) {}
  T& operator[](int i) const { return first_[static_cast<int64_t>(i) * inc_]; }

 private:
  T* first_;
  int inc_;
};

cublasStatus_t CheckHandle(const char* function, cublasHandle_t handle) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (handle->device == CurrentDevice()) return CUBLAS_STATUS_SUCCESS;
  Complain(std::string(function) + ": the handle belongs to GPU " + std::to_string(handle->device) +
           ", but the current one is " + std::to_string(CurrentDevice()));
  return CUBLAS_STATUS_EXECUTION_FAILED;
}

cublasStatus_t CheckBytes(const char* function, const char* name, const void* data, size_t bytes) {
  return CheckOperand(function, name, data, bytes) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

template <typename T>
cublasStatus_t CheckVector(const char* function, const char* name, const T* data, int n, int inc) {
  if (n <= 0) return CUBLAS_STATUS_SUCCESS;
  if (inc == 0) return CUBLAS_STATUS_INVALID_VALUE;
  return CheckBytes(function, name, data, (static_cast<size_t>(n - 1) * std::abs(inc) + 1) * sizeof(T));
}

cublasStatus_t CheckMatrix(const char* function, const char* name, const void* data, int64_t rows,
                           int64_t columns, int64_t ld, size_t element) {
  if (ld < std::max<int64_t>(1, rows)) return CUBLAS_STATUS_INVALID_VALUE;
  if (rows == 0 || columns == 0) return CUBLAS_STATUS_SUCCESS;
  return CheckBytes(function, name, data, static_cast<size_t>((columns - 1) * ld + rows) * element);
}

/// Scalars lie where the handle's pointer mode says.
cublasStatus_t CheckScalar(const char* function, const char* name, cublasHandle_t handle, const void* scalar,
                           size_t bytes) {
  if (!scalar) return CUBLAS_STATUS_INVALID_VALUE;
  if (handle->pointer_mode == CUBLAS_POINTER_MODE_DEVICE) return CheckBytes(function, name, scalar, bytes);
  if (DeviceOf(scalar) < 0) return CUBLAS_STATUS_SUCCESS;
  Complain(std::string(function) + ": " + name +
           " is on a GPU, but the handle's pointer mode is that of the host");
  return CUBLAS_STATUS_EXECUTION_FAILED;
}

/// What a checked scalar is: known when the function is called, or read on the GPU when it is computed with.
template <typename T>
class Scalar {
 public:
  Scalar(cublasHandle_t handle, const T* scalar)
      : on_gpu_(handle->pointer_mode == CUBLAS_POINTER_MODE_DEVICE ? scalar : nullptr),
        value_(on_gpu_ ? T() : *scalar) {}
  T operator*() const { return on_gpu_ ? *on_gpu_ : value_; }

 private:
  const T* on_gpu_;
  T value_;
};

bool ValidOp(cublasOperation_t op) { return op == CUBLAS_OP_N || op == CUBLAS_OP_T || op == CUBLAS_OP_C; }
CBLAS_TRANSPOSE ToCblas(cublasOperation_t op) { return op == CUBLAS_OP_N ? CblasNoTrans : CblasTrans; }

void Gemm(cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k, float alpha, const float* a,
          int lda, const float* b, int ldb, float beta, float* c, int ldc) {
  cblas_sgemm(CblasColMajor, ToCblas(op_a), ToCblas(op_b), m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
void Gemm(cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k, double alpha, const double* a,
          int lda, const double* b, int ldb, double beta, double* c, int ldc) {
  cblas_dgemm(CblasColMajor, ToCblas(op_a), ToCblas(op_b), m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

// ---- Operands of the types of GemmEx, as numbers to compute with ----

float RoundOperand(float x, cublasComputeType_t compute) {
  switch (compute) {
    case CUBLAS_COMPUTE_32F_FAST_TF32:
      return RoundToTF32(x);
    case CUBLAS_COMPUTE_32F_FAST_16BF:
      return __bfloat162float(__float2bfloat16(x));
    case CUBLAS_COMPUTE_32F_FAST_16F:
      return __half2float(__float2half(x));
    default:
      return x;
  }
}

size_t SizeOf(cudaDataType type) {
  switch (type) {
    case CUDA_R_64F:
      return 8;
    case CUDA_R_32F:
    case CUDA_R_32I:
      return 4;
    case CUDA_R_16F:
    case CUDA_R_16BF:
      return 2;
    case CUDA_R_8I:
    case CUDA_R_8U:
      return 1;
  }
  return 0;
}

double Read(const void* data, cudaDataType type, int64_t i) {
  switch (type) {
    case CUDA_R_64F:
      return static_cast<const double*>(data)[i];
    case CUDA_R_32F:
      return static_cast<const float*>(data)[i];
    case CUDA_R_32I:
      return static_cast<const int32_t*>(data)[i];
    case CUDA_R_16F:
      return __half2float(static_cast<const __half*>(data)[i]);
    case CUDA_R_16BF:
      return __bfloat162float(static_cast<const __nv_bfloat16*>(data)[i]);
    case CUDA_R_8I:
      return static_cast<const int8_t*>(data)[i];
    case CUDA_R_8U:
      return static_cast<const uint8_t*>(data)[i];
  }
  return NAN;
}

void Write(void* data, cudaDataType type, int64_t i, double value) {
  switch (type) {
    case CUDA_R_64F:
      static_cast<double*>(data)[i] = value;
      break;
    case CUDA_R_32F:
      static_cast<float*>(data)[i] = static_cast<float>(value);
      break;
    case CUDA_R_32I:
      // Sums wrap around.
      static_cast<int32_t*>(data)[i] =
          static_cast<int32_t>(static_cast<uint32_t>(static_cast<int64_t>(value)));
      break;
    case CUDA_R_16F:
      static_cast<__half*>(data)[i] = __double2half(value);
      break;
    case CUDA_R_16BF:
      static_cast<__nv_bfloat16*>(data)[i] = __double2bfloat16(value);
      break;
    default:
      break;
  }
}

bool IsFloatCompute(cublasComputeType_t compute) {
  return compute == CUBLAS_COMPUTE_32F || compute == CUBLAS_COMPUTE_32F_PEDANTIC ||
         compute == CUBLAS_COMPUTE_32F_FAST_16F || compute == CUBLAS_COMPUTE_32F_FAST_16BF ||
         compute == CUBLAS_COMPUTE_32F_FAST_TF32;
}

bool Supported(cudaDataType a, cudaDataType b, cudaDataType c, cublasComputeType_t compute) {
  if (a != b) return false;
  if (compute == CUBLAS_COMPUTE_32I || compute == CUBLAS_COMPUTE_32I_PEDANTIC) {
    return a == CUDA_R_8I && c == CUDA_R_32I;
  }
  if (compute == CUBLAS_COMPUTE_64F) return a == CUDA_R_64F && c == CUDA_R_64F;
  if (!IsFloatCompute(compute)) return false;
  if (a == CUDA_R_32F) return c == CUDA_R_32F;
  return (a == CUDA_R_16F || a == CUDA_R_16BF) && (c == a || c == CUDA_R_32F);
}

/// Numbers to compute with, densely packed, in the matrix's own orientation.
template <typename T>
std::vector<T> Unpack(const void* data, cudaDataType type, int64_t rows, int64_t columns, int64_t ld,
                      cublasComputeType_t compute) {
  std::vector<T> unpacked(static_cast<size_t>(rows * columns));
  for (int64_t column = 0; column < columns; ++column) {
    for (int64_t row = 0; row < rows; ++row) {
      const T value = static_cast<T>(Read(data, type, column * ld + row));
      unpacked[static_cast<size_t>(column * rows + row)] =
          std::is_same<T, float>::value ? static_cast<T>(RoundOperand(static_cast<float>(value), compute))
                                        : value;
    }
  }
  return unpacked;
}

/// T: what is computed with. int32 sums are exact in double, up to products of 2^39 elements.
template <typename T>
void GemmOfTypes(cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k, T alpha, const void* a,
                 cudaDataType type_a, int lda, const void* b, cudaDataType type_b, int ldb, T beta, void* c,
                 cudaDataType type_c, int ldc, cublasComputeType_t compute) {
  std::vector<T> product(static_cast<size_t>(m) * n, T(0));
  if (k > 0 && alpha != 0) {
    const int rows_a = op_a == CUBLAS_OP_N ? m : k, rows_b = op_b == CUBLAS_OP_N ? k : n;
    const std::vector<T> in_a = Unpack<T>(a, type_a, rows_a, op_a == CUBLAS_OP_N ? k : m, lda, compute);
    const std::vector<T> in_b = Unpack<T>(b, type_b, rows_b, op_b == CUBLAS_OP_N ? n : k, ldb, compute);
    Gemm(op_a, op_b, m, n, k, T(1), in_a.data(), rows_a, in_b.data(), rows_b, T(0), product.data(), m);
  }
  for (int64_t column = 0; column < n; ++column) {
    for (int64_t row = 0; row < m; ++row) {
      T value = alpha * product[static_cast<size_t>(column * m + row)];
      if (beta != 0) value += beta * static_cast<T>(Read(c, type_c, column * ldc + row));
      Write(c, type_c, column * ldc + row, value);
    }
  }
}

/// The operands of a batch of products, all checked.
struct Batch {
  cublasOperation_t op_a, op_b;
  int m, n, k;
  const void* a;
  cudaDataType type_a;
  int lda;
  long long stride_a;
  const void* b;
  cudaDataType type_b;
  int ldb;
  long long stride_b;
  void* c;
  cudaDataType type_c;
  int ldc;
  long long stride_c;
  int batch;
  cublasComputeType_t compute;

  const char* OneA(int i) const {
    return static_cast<const char*>(a) + i * stride_a * static_cast<long long>(SizeOf(type_a));
  }
  const char* OneB(int i) const {
    return static_cast<const char*>(b) + i * stride_b * static_cast<long long>(SizeOf(type_b));
  }
  char* OneC(int i) const {
    return static_cast<char*>(c) + i * stride_c * static_cast<long long>(SizeOf(type_c));
  }
};

/// T: what is computed with; Given: the scalars' type.
template <typename T, typename Given>
void SubmitBatch(cublasHandle_t handle, const Batch& batch, const void* alpha, const void* beta) {
  const Scalar<Given> factor(handle, static_cast<const Given*>(alpha));
  const Scalar<Given> factor_c(handle, static_cast<const Given*>(beta));
  // The CPU's BLAS takes operands of its own type as they are, if no bits are to be rounded off.
  constexpr cudaDataType kOwnType = std::is_same<T, float>::value ? CUDA_R_32F : CUDA_R_64F;
  const bool direct =
      batch.type_a == kOwnType && batch.type_c == kOwnType && RoundOperand(1 / 3.f, batch.compute) == 1 / 3.f;
  Submit(handle->stream, [=] {
    const DeviceAccess access;
    const T x = static_cast<T>(*factor), y = static_cast<T>(*factor_c);
    for (int i = 0; i < batch.batch; ++i) {
      if (direct) {
        Gemm(batch.op_a, batch.op_b, batch.m, batch.n, batch.k, x, reinterpret_cast<const T*>(batch.OneA(i)),
             batch.lda, reinterpret_cast<const T*>(batch.OneB(i)), batch.ldb, y,
             reinterpret_cast<T*>(batch.OneC(i)), batch.ldc);
      } else {
        GemmOfTypes<T>(batch.op_a, batch.op_b, batch.m, batch.n, batch.k, x, batch.OneA(i), batch.type_a,
                       batch.lda, batch.OneB(i), batch.type_b, batch.ldb, y, batch.OneC(i), batch.type_c,
                       batch.ldc, batch.compute);
      }
    }
  });
}

cublasStatus_t GemmBatch(const char* function, cublasHandle_t handle, const void* alpha, const void* beta,
                         const Batch& batch) {
  RETURN_UNLESS_SUCCESS(CheckHandle(function, handle));
  const int m = batch.m, n = batch.n, k = batch.k;
  if (m < 0 || n < 0 || k < 0 || batch.batch < 0 || !ValidOp(batch.op_a) || !ValidOp(batch.op_b)) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  if (!Supported(batch.type_a, batch.type_b, batch.type_c, batch.compute)) return CUBLAS_STATUS_NOT_SUPPORTED;
  const bool integers = batch.type_a == CUDA_R_8I;
  const auto by_words = [](const void* data, int ld, long long stride) {
    return reinterpret_cast<uintptr_t>(data) % 4 == 0 && ld % 4 == 0 && stride % 4 == 0;
  };
  if (integers &&
      !(by_words(batch.a, batch.lda, batch.stride_a) && by_words(batch.b, batch.ldb, batch.stride_b))) {
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  const size_t scalar_bytes = batch.compute == CUBLAS_COMPUTE_64F ? 8 : 4;
  RETURN_UNLESS_SUCCESS(CheckScalar(function, "alpha", handle, alpha, scalar_bytes));
  RETURN_UNLESS_SUCCESS(CheckScalar(function, "beta", handle, beta, scalar_bytes));
  const int rows_a = batch.op_a == CUBLAS_OP_N ? m : k, columns_a = batch.op_a == CUBLAS_OP_N ? k : m;
  const int rows_b = batch.op_b == CUBLAS_OP_N ? k : n, columns_b = batch.op_b == CUBLAS_OP_N ? n : k;
  if (batch.lda < std::max(1, rows_a) || batch.ldb < std::max(1, rows_b) || batch.ldc < std::max(1, m)) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  if (m == 0 || n == 0) return CUBLAS_STATUS_SUCCESS;
  for (int i = 0; i < batch.batch; ++i) {
    RETURN_UNLESS_SUCCESS(
        CheckMatrix(function, "A", batch.OneA(i), rows_a, columns_a, batch.lda, SizeOf(batch.type_a)));
    RETURN_UNLESS_SUCCESS(
        CheckMatrix(function, "B", batch.OneB(i), rows_b, columns_b, batch.ldb, SizeOf(batch.type_b)));
    RETURN_UNLESS_SUCCESS(CheckMatrix(function, "C", batch.OneC(i), m, n, batch.ldc, SizeOf(batch.type_c)));
  }
  if (integers) {
    SubmitBatch<double, int32_t>(handle, batch, alpha, beta);
  } else if (batch.compute == CUBLAS_COMPUTE_64F) {
    SubmitBatch<double, double>(handle, batch, alpha, beta);
  } else {
    SubmitBatch<float, float>(handle, batch, alpha, beta);
  }
  return CUBLAS_STATUS_SUCCESS;
}

template <typename T>
cublasStatus_t TypedGemm(const char* function, cublasHandle_t handle, cublasOperation_t op_a,
                         cublasOperation_t op_b, int m, int n, int k, const T* alpha, const T* a, int lda,
                         long long stride_a, const T* b, int ldb, long long stride_b, const T* beta, T* c,
                         int ldc, long long stride_c, int batch) {
  constexpr bool is_float = std::is_same<T, float>::value;
  constexpr cudaDataType type = is_float ? CUDA_R_32F : CUDA_R_64F;
  cublasComputeType_t compute = is_float ? CUBLAS_COMPUTE_32F : CUBLAS_COMPUTE_64F;
  if (is_float && handle && (handle->math_mode & 0xf) == CUBLAS_TF32_TENSOR_OP_MATH) {
    compute = CUBLAS_COMPUTE_32F_FAST_TF32;
  }
  return GemmBatch(function, handle, alpha, beta,
                   {op_a, op_b, m, n, k, a, type, lda, stride_a, b, type, ldb, stride_b, c, type, ldc,
                    stride_c, batch, compute});
}

template <typename T>
cublasStatus_t Gemv(const char* function, cublasHandle_t handle, cublasOperation_t op, int m, int n,
                    const T* alpha, const T* a, int lda, const T* x, int incx, const T* beta, T* y,
                    int incy) {
  RETURN_UNLESS_SUCCESS(CheckHandle(function, handle));
  if (m < 0 || n < 0 || !ValidOp(op) || lda < std::max(1, m) || incx == 0 || incy == 0) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  if (m == 0 || n == 0) return CUBLAS_STATUS_SUCCESS;
  const int size_x = op == CUBLAS_OP_N ? n : m, size_y = op == CUBLAS_OP_N ? m : n;
  RETURN_UNLESS_SUCCESS(CheckScalar(function, "alpha", handle, alpha, sizeof(T)));
  RETURN_UNLESS_SUCCESS(CheckScalar(function, "beta", handle, beta, sizeof(T)));
  RETURN_UNLESS_SUCCESS(CheckMatrix(function, "A", a, m, n, lda, sizeof(T)));
  RETURN_UNLESS_SUCCESS(CheckVector(function, "x", x, size_x, incx));
  RETURN_UNLESS_SUCCESS(CheckVector(function, "y", y, size_y, incy));
  const Vector<const T> in(x, size_x, incx);
  const Vector<T> out(y, size_y, incy);
  const Scalar<T> factor(handle, alpha), factor_y(handle, beta);
  Submit(handle->stream, [=] {
    const DeviceAccess access;
    for (int i = 0; i < size_y; ++i) {
      T sum = 0;
      for (int j = 0; j < size_x; ++j) {
        sum += in[j] * (op == CUBLAS_OP_N ? a[static_cast<int64_t>(j) * lda + i]
                                          : a[static_cast<int64_t>(i) * lda + j]);
      }
      out[i] = *factor_y == 0 ? *factor * sum : *factor * sum + *factor_y * out[i];
    }
  });
  return CUBLAS_STATUS_SUCCESS;
}

template <typename T>
cublasStatus_t Ger(const char* function, cublasHandle_t handle, int m, int n, const T* alpha, const T* x,
                   int incx, const T* y, int incy, T* a, int lda) {
  RETURN_UNLESS_SUCCESS(CheckHandle(function, handle));
  if (m < 0 || n < 0) return CUBLAS_STATUS_INVALID_VALUE;
  RETURN_UNLESS_SUCCESS(CheckScalar(function, "alpha", handle, alpha, sizeof(T)));
  RETURN_UNLESS_SUCCESS(CheckMatrix(function, "A", a, m, n, lda, sizeof(T)));
  RETURN_UNLESS_SUCCESS(CheckVector(function, "x", x, m, incx));
  RETURN_UNLESS_SUCCESS(CheckVector(function, "y", y, n, incy));
  const Vector<const T> rows(x, m, incx), columns(y, n, incy);
  const Scalar<T> factor(handle, alpha);
  Submit(handle->stream, [=] {
    const DeviceAccess access;
    for (int j = 0; j < n; ++j) {
      for (int i = 0; i < m; ++i) a[static_cast<int64_t>(j) * lda + i] += *factor * rows[i] * columns[j];
    }
  });
  return CUBLAS_STATUS_SUCCESS;
}

template <typename T>
cublasStatus_t Geam(const char* function, cublasHandle_t handle, cublasOperation_t op_a,
                    cublasOperation_t op_b, int m, int n, const T* alpha, const T* a, int lda, const T* beta,
                    const T* b, int ldb, T* c, int ldc) {
  RETURN_UNLESS_SUCCESS(CheckHandle(function, handle));
  if (m < 0 || n < 0 || !ValidOp(op_a) || !ValidOp(op_b)) return CUBLAS_STATUS_INVALID_VALUE;
  // Elements are read where they are written only without transposition.
  if ((c == a && (op_a != CUBLAS_OP_N || lda != ldc)) || (c == b && (op_b != CUBLAS_OP_N || ldb != ldc))) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  RETURN_UNLESS_SUCCESS(CheckScalar(function, "alpha", handle, alpha, sizeof(T)));
  RETURN_UNLESS_SUCCESS(CheckScalar(function, "beta", handle, beta, sizeof(T)));
  const auto check = [&](const char* name, const T* data, cublasOperation_t op, int ld) {
    return op == CUBLAS_OP_N ? CheckMatrix(function, name, data, m, n, ld, sizeof(T))
                             : CheckMatrix(function, name, data, n, m, ld, sizeof(T));
  };
  // What is multiplied by a 0 of the host is not read.
  const bool by_host = handle->pointer_mode == CUBLAS_POINTER_MODE_HOST;
  if (!by_host || *alpha != 0) RETURN_UNLESS_SUCCESS(check("A", a, op_a, lda));
  if (!by_host || *beta != 0) RETURN_UNLESS_SUCCESS(check("B", b, op_b, ldb));
  RETURN_UNLESS_SUCCESS(check("C", c, CUBLAS_OP_N, ldc));
  const Scalar<T> factor_a(handle, alpha), factor_b(handle, beta);
  Submit(handle->stream, [=] {
    const DeviceAccess access;
    const auto at = [](const T* data, cublasOperation_t op, int64_t ld, int64_t row, int64_t column) {
      return op == CUBLAS_OP_N ? data[column * ld + row] : data[row * ld + column];
    };
    for (int j = 0; j < n; ++j) {
      for (int i = 0; i < m; ++i) {
        T value = 0;
        if (*factor_a != 0) value += *factor_a * at(a, op_a, lda, i, j);
        if (*factor_b != 0) value += *factor_b * at(b, op_b, ldb, i, j);
        c[static_cast<int64_t>(j) * ldc + i] = value;
      }
    }
  });
  return CUBLAS_STATUS_SUCCESS;
}

template <typename T>
cublasStatus_t Axpy(const char* function, cublasHandle_t handle, int n, const T* alpha, const T* x, int incx,
                    T* y, int incy) {
  RETURN_UNLESS_SUCCESS(CheckHandle(function, handle));
  RETURN_UNLESS_SUCCESS(CheckScalar(function, "alpha", handle, alpha, sizeof(T)));
  RETURN_UNLESS_SUCCESS(CheckVector(function, "x", x, n, incx));
  RETURN_UNLESS_SUCCESS(CheckVector(function, "y", y, n, incy));
  const Vector<const T> in(x, n, incx);
  const Vector<T> out(y, n, incy);
  const Scalar<T> factor(handle, alpha);
  Submit(handle->stream, [=] {
    const DeviceAccess access;
    for (int i = 0; i < n; ++i) out[i] += *factor * in[i];
  });
  return CUBLAS_STATUS_SUCCESS;
}

template <typename T>
cublasStatus_t Scal(const char* function, cublasHandle_t handle, int n, const T* alpha, T* x, int incx) {
  RETURN_UNLESS_SUCCESS(CheckHandle(function, handle));
  RETURN_UNLESS_SUCCESS(CheckScalar(function, "alpha", handle, alpha, sizeof(T)));
  RETURN_UNLESS_SUCCESS(CheckVector(function, "x", x, n, incx));
  const Vector<T> values(x, n, incx);
  const Scalar<T> factor(handle, alpha);
  Submit(handle->stream, [=] {
    const DeviceAccess access;
    for (int i = 0; i < n; ++i) values[i] *= *factor;
  });
  return CUBLAS_STATUS_SUCCESS;
}

template <typename T>
cublasStatus_t CopyVector(const char* function, cublasHandle_t handle, int n, const T* x, int incx, T* y,
                          int incy) {
  RETURN_UNLESS_SUCCESS(CheckHandle(function, handle));
  RETURN_UNLESS_SUCCESS(CheckVector(function, "x", x, n, incx));
  RETURN_UNLESS_SUCCESS(CheckVector(function, "y", y, n, incy));
  const Vector<const T> in(x, n, incx);
  const Vector<T> out(y, n, incy);
  Submit(handle->stream, [=] {
    const DeviceAccess access;
    for (int i = 0; i < n; ++i) out[i] = in[i];
  });
  return CUBLAS_STATUS_SUCCESS;
}

/// *result = finish(sum of term(i)).
template <typename T, typename Term, typename Finish>
cublasStatus_t Reduce(const char* function, cublasHandle_t handle, int n, T* result, const Term& term,
                      const Finish& finish) {
  RETURN_UNLESS_SUCCESS(CheckScalar(function, "the result", handle, result, sizeof(T)));
  Submit(handle->stream, [=] {
    const DeviceAccess access;
    double sum = 0;
    for (int i = 0; i < n; ++i) sum += term(i);
    *result = static_cast<T>(finish(sum));
  });
  // The host gets its result before the function returns.
  if (handle->pointer_mode == CUBLAS_POINTER_MODE_HOST) WaitForStream(handle->stream);
  return CUBLAS_STATUS_SUCCESS;
}

template <typename T>
cublasStatus_t Dot(const char* function, cublasHandle_t handle, int n, const T* x, int incx, const T* y,
                   int incy, T* result) {
  RETURN_UNLESS_SUCCESS(CheckHandle(function, handle));
  RETURN_UNLESS_SUCCESS(CheckVector(function, "x", x, n, incx));
  RETURN_UNLESS_SUCCESS(CheckVector(function, "y", y, n, incy));
  const Vector<const T> a(x, n, incx), b(y, n, incy);
  return Reduce(
      function, handle, n, result, [=](int i) { return static_cast<double>(a[i]) * b[i]; },
      [](double sum) { return sum; });
}

template <typename T>
cublasStatus_t Asum(const char* function, cublasHandle_t handle, int n, const T* x, int incx, T* result) {
  RETURN_UNLESS_SUCCESS(CheckHandle(function, handle));
  RETURN_UNLESS_SUCCESS(CheckVector(function, "x", x, n, incx));
  const Vector<const T> a(x, n, incx);
  return Reduce(
      function, handle, n, result, [=](int i) { return std::abs(static_cast<double>(a[i])); },
      [](double sum) { return sum; });
}

template <typename T>
cublasStatus_t Nrm2(const char* function, cublasHandle_t handle, int n, const T* x, int incx, T* result) {
  RETURN_UNLESS_SUCCESS(CheckHandle(function, handle));
  RETURN_UNLESS_SUCCESS(CheckVector(function, "x", x, n, incx));
  const Vector<const T> a(x, n, incx);
  return Reduce(
      function, handle, n, result, [=](int i) { return static_cast<double>(a[i]) * a[i]; },
      [](double sum) { return std::sqrt(sum); });
}

struct StatusText {
  cublasStatus_t status;
  const char *name, *text;
};
constexpr StatusText kStatuses[] = {
    {CUBLAS_STATUS_SUCCESS, "CUBLAS_STATUS_SUCCESS", "success"},
    {CUBLAS_STATUS_NOT_INITIALIZED, "CUBLAS_STATUS_NOT_INITIALIZED", "the library was not initialized"},
    {CUBLAS_STATUS_ALLOC_FAILED, "CUBLAS_STATUS_ALLOC_FAILED", "the resource allocation failed"},
    {CUBLAS_STATUS_INVALID_VALUE, "CUBLAS_STATUS_INVALID_VALUE",
     "an unsupported value or parameter was passed to the function"},
    {CUBLAS_STATUS_ARCH_MISMATCH, "CUBLAS_STATUS_ARCH_MISMATCH", "the device lacks a required feature"},
    {CUBLAS_STATUS_MAPPING_ERROR, "CUBLAS_STATUS_MAPPING_ERROR", "an access to GPU memory space failed"},
    {CUBLAS_STATUS_EXECUTION_FAILED, "CUBLAS_STATUS_EXECUTION_FAILED",
     "the function failed to launch on the GPU"},
    {CUBLAS_STATUS_INTERNAL_ERROR, "CUBLAS_STATUS_INTERNAL_ERROR", "an internal operation failed"},
    {CUBLAS_STATUS_NOT_SUPPORTED, "CUBLAS_STATUS_NOT_SUPPORTED", "the functionality is not supported"},
    {CUBLAS_STATUS_LICENSE_ERROR, "CUBLAS_STATUS_LICENSE_ERROR", "the license check failed"},
};

}  // namespace
}  // namespace gpu_emulator

using namespace gpu_emulator;

const char* cublasGetStatusName(cublasStatus_t status) {
  for (const StatusText& one : kStatuses) {
    if (one.status == status) return one.name;
  }
  return "unknown status";
}

const char* cublasGetStatusString(cublasStatus_t status) {
  for (const StatusText& one : kStatuses) {
    if (one.status == status) return one.text;
  }
  return "unknown status";
}

cublasStatus_t cublasCreate(cublasHandle_t* handle) {
  if (!handle) return CUBLAS_STATUS_INVALID_VALUE;
  if (NeedDevice() != cudaSuccess) return CUBLAS_STATUS_NOT_INITIALIZED;
  *handle = new cublasContext;
  (*handle)->device = CurrentDevice();
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy(cublasHandle_t handle) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetVersion(cublasHandle_t, int* version) {
  *version = 130000;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  handle->stream = stream;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetStream(cublasHandle_t handle, cudaStream_t* stream) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  *stream = handle->stream;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetPointerMode(cublasHandle_t handle, cublasPointerMode_t mode) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  handle->pointer_mode = mode;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetPointerMode(cublasHandle_t handle, cublasPointerMode_t* mode) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  *mode = handle->pointer_mode;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  handle->math_mode = mode;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetMathMode(cublasHandle_t handle, cublasMath_t* mode) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  *mode = handle->math_mode;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetAtomicsMode(cublasHandle_t handle, cublasAtomicsMode_t) {
  return handle ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_INITIALIZED;
}

cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void* workspace, size_t bytes) {
  RETURN_UNLESS_SUCCESS(CheckHandle("cublasSetWorkspace", handle));
  return CheckBytes("cublasSetWorkspace", "the workspace", workspace, bytes);
}

#define GPU_EMULATOR_BLAS(letter, type)                                                                      \
  cublasStatus_t cublas##letter##gemm(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, \
                                      int m, int n, int k, const type* alpha, const type* a, int lda,        \
                                      const type* b, int ldb, const type* beta, type* c, int ldc) {          \
    return TypedGemm("cublas" #letter "gemm", handle, op_a, op_b, m, n, k, alpha, a, lda, 0, b, ldb, 0,      \
                     beta, c, ldc, 0, 1);                                                                    \
  }                                                                                                          \
  cublasStatus_t cublas##letter##gemmStridedBatched(                                                         \
      cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k,            \
      const type* alpha, const type* a, int lda, long long stride_a, const type* b, int ldb,                 \
      long long stride_b, const type* beta, type* c, int ldc, long long stride_c, int batch) {               \
    return TypedGemm("cublas" #letter "gemmStridedBatched", handle, op_a, op_b, m, n, k, alpha, a, lda,      \
                     stride_a, b, ldb, stride_b, beta, c, ldc, stride_c, batch);                             \
  }                                                                                                          \
  cublasStatus_t cublas##letter##gemv(cublasHandle_t handle, cublasOperation_t op, int m, int n,             \
                                      const type* alpha, const type* a, int lda, const type* x, int incx,    \
                                      const type* beta, type* y, int incy) {                                 \
    return Gemv("cublas" #letter "gemv", handle, op, m, n, alpha, a, lda, x, incx, beta, y, incy);           \
  }                                                                                                          \
  cublasStatus_t cublas##letter##ger(cublasHandle_t handle, int m, int n, const type* alpha, const type* x,  \
                                     int incx, const type* y, int incy, type* a, int lda) {                  \
    return Ger("cublas" #letter "ger", handle, m, n, alpha, x, incx, y, incy, a, lda);                       \
  }                                                                                                          \
  cublasStatus_t cublas##letter##geam(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, \
                                      int m, int n, const type* alpha, const type* a, int lda,               \
                                      const type* beta, const type* b, int ldb, type* c, int ldc) {          \
    return Geam("cublas" #letter "geam", handle, op_a, op_b, m, n, alpha, a, lda, beta, b, ldb, c, ldc);     \
  }                                                                                                          \
  cublasStatus_t cublas##letter##axpy(cublasHandle_t handle, int n, const type* alpha, const type* x,        \
                                      int incx, type* y, int incy) {                                         \
    return Axpy("cublas" #letter "axpy", handle, n, alpha, x, incx, y, incy);                                \
  }                                                                                                          \
  cublasStatus_t cublas##letter##scal(cublasHandle_t handle, int n, const type* alpha, type* x, int incx) {  \
    return Scal("cublas" #letter "scal", handle, n, alpha, x, incx);                                         \
  }                                                                                                          \
  cublasStatus_t cublas##letter##copy(cublasHandle_t handle, int n, const type* x, int incx, type* y,        \
                                      int incy) {                                                            \
    return CopyVector("cublas" #letter "copy", handle, n, x, incx, y, incy);                                 \
  }                                                                                                          \
  cublasStatus_t cublas##letter##dot(cublasHandle_t handle, int n, const type* x, int incx, const type* y,   \
                                     int incy, type* result) {                                               \
    return Dot("cublas" #letter "dot", handle, n, x, incx, y, incy, result);                                 \
  }                                                                                                          \
  cublasStatus_t cublas##letter##asum(cublasHandle_t handle, int n, const type* x, int incx, type* result) { \
    return Asum("cublas" #letter "asum", handle, n, x, incx, result);                                        \
  }                                                                                                          \
  cublasStatus_t cublas##letter##nrm2(cublasHandle_t handle, int n, const type* x, int incx, type* result) { \
    return Nrm2("cublas" #letter "nrm2", handle, n, x, incx, result);                                        \
  }
GPU_EMULATOR_BLAS(S, float)
GPU_EMULATOR_BLAS(D, double)
#undef GPU_EMULATOR_BLAS

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m,
                            int n, int k, const void* alpha, const void* a, cudaDataType type_a, int lda,
                            const void* b, cudaDataType type_b, int ldb, const void* beta, void* c,
                            cudaDataType type_c, int ldc, cublasComputeType_t compute, cublasGemmAlgo_t) {
  return GemmBatch(
      "cublasGemmEx", handle, alpha, beta,
      {op_a, op_b, m, n, k, a, type_a, lda, 0, b, type_b, ldb, 0, c, type_c, ldc, 0, 1, compute});
}

cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t op_a,
                                          cublasOperation_t op_b, int m, int n, int k, const void* alpha,
                                          const void* a, cudaDataType type_a, int lda, long long stride_a,
                                          const void* b, cudaDataType type_b, int ldb, long long stride_b,
                                          const void* beta, void* c, cudaDataType type_c, int ldc,
                                          long long stride_c, int batch, cublasComputeType_t compute,
                                          cublasGemmAlgo_t) {
  return GemmBatch("cublasGemmStridedBatchedEx", handle, alpha, beta,
                   {op_a, op_b, m, n, k, a, type_a, lda, stride_a, b, type_b, ldb, stride_b, c, type_c, ldc,
                    stride_c, batch, compute});
}
