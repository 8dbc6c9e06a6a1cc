#ifndef CAFFE_GPU_EMULATOR_CUBLAS_V2_H_
#define CAFFE_GPU_EMULATOR_CUBLAS_V2_H_

/// @file
/// What this project uses of cuBLAS, imitated: matrices by columns, operands in the memory of the current
/// GPU, and scalars in the host's or the GPU's as cublasSetPointerMode says.

#include "cuda_bf16.h"
#include "cuda_fp16.h"
#include "cuda_runtime_api.h"
#include "library_types.h"

typedef enum {
  CUBLAS_STATUS_SUCCESS = 0,
  CUBLAS_STATUS_NOT_INITIALIZED = 1,
  CUBLAS_STATUS_ALLOC_FAILED = 3,
  CUBLAS_STATUS_INVALID_VALUE = 7,
  CUBLAS_STATUS_ARCH_MISMATCH = 8,
  CUBLAS_STATUS_MAPPING_ERROR = 11,
  CUBLAS_STATUS_EXECUTION_FAILED = 13,
  CUBLAS_STATUS_INTERNAL_ERROR = 14,
  CUBLAS_STATUS_NOT_SUPPORTED = 15,
  CUBLAS_STATUS_LICENSE_ERROR = 16,
} cublasStatus_t;

typedef enum { CUBLAS_OP_N = 0, CUBLAS_OP_T = 1, CUBLAS_OP_C = 2 } cublasOperation_t;
typedef enum { CUBLAS_POINTER_MODE_HOST = 0, CUBLAS_POINTER_MODE_DEVICE = 1 } cublasPointerMode_t;
typedef enum { CUBLAS_ATOMICS_NOT_ALLOWED = 0, CUBLAS_ATOMICS_ALLOWED = 1 } cublasAtomicsMode_t;
typedef enum {
  CUBLAS_DEFAULT_MATH = 0,
  CUBLAS_TENSOR_OP_MATH = 1,
  CUBLAS_PEDANTIC_MATH = 2,
  CUBLAS_TF32_TENSOR_OP_MATH = 3,
  CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION = 16,
} cublasMath_t;
typedef enum {
  CUBLAS_GEMM_DFALT = -1,
  CUBLAS_GEMM_DEFAULT = -1,
  CUBLAS_GEMM_DFALT_TENSOR_OP = 99,
  CUBLAS_GEMM_DEFAULT_TENSOR_OP = 99,
} cublasGemmAlgo_t;
typedef enum {
  CUBLAS_COMPUTE_16F = 64,
  CUBLAS_COMPUTE_32F = 68,
  CUBLAS_COMPUTE_32F_PEDANTIC = 69,
  CUBLAS_COMPUTE_64F = 70,
  CUBLAS_COMPUTE_32I = 72,
  CUBLAS_COMPUTE_32I_PEDANTIC = 73,
  CUBLAS_COMPUTE_32F_FAST_16F = 74,
  CUBLAS_COMPUTE_32F_FAST_16BF = 75,
  CUBLAS_COMPUTE_32F_FAST_TF32 = 77,
} cublasComputeType_t;

typedef struct cublasContext* cublasHandle_t;

const char* cublasGetStatusName(cublasStatus_t status);
const char* cublasGetStatusString(cublasStatus_t status);
cublasStatus_t cublasCreate(cublasHandle_t* handle);
cublasStatus_t cublasDestroy(cublasHandle_t handle);
cublasStatus_t cublasGetVersion(cublasHandle_t handle, int* version);
cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream);
cublasStatus_t cublasGetStream(cublasHandle_t handle, cudaStream_t* stream);
cublasStatus_t cublasSetPointerMode(cublasHandle_t handle, cublasPointerMode_t mode);
cublasStatus_t cublasGetPointerMode(cublasHandle_t handle, cublasPointerMode_t* mode);
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode);
cublasStatus_t cublasGetMathMode(cublasHandle_t handle, cublasMath_t* mode);
cublasStatus_t cublasSetAtomicsMode(cublasHandle_t handle, cublasAtomicsMode_t mode);
cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void* workspace, size_t bytes);

#define GPU_EMULATOR_BLAS(letter, type)                                                                      \
  cublasStatus_t cublas##letter##gemm(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, \
                                      int m, int n, int k, const type* alpha, const type* a, int lda,        \
                                      const type* b, int ldb, const type* beta, type* c, int ldc);           \
  cublasStatus_t cublas##letter##gemmStridedBatched(                                                         \
      cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k,            \
      const type* alpha, const type* a, int lda, long long stride_a, const type* b, int ldb,                 \
      long long stride_b, const type* beta, type* c, int ldc, long long stride_c, int batch);                \
  cublasStatus_t cublas##letter##gemv(cublasHandle_t handle, cublasOperation_t op, int m, int n,             \
                                      const type* alpha, const type* a, int lda, const type* x, int incx,    \
                                      const type* beta, type* y, int incy);                                  \
  cublasStatus_t cublas##letter##ger(cublasHandle_t handle, int m, int n, const type* alpha, const type* x,  \
                                     int incx, const type* y, int incy, type* a, int lda);                   \
  cublasStatus_t cublas##letter##geam(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, \
                                      int m, int n, const type* alpha, const type* a, int lda,               \
                                      const type* beta, const type* b, int ldb, type* c, int ldc);           \
  cublasStatus_t cublas##letter##axpy(cublasHandle_t handle, int n, const type* alpha, const type* x,        \
                                      int incx, type* y, int incy);                                          \
  cublasStatus_t cublas##letter##scal(cublasHandle_t handle, int n, const type* alpha, type* x, int incx);   \
  cublasStatus_t cublas##letter##copy(cublasHandle_t handle, int n, const type* x, int incx, type* y,        \
                                      int incy);                                                             \
  cublasStatus_t cublas##letter##dot(cublasHandle_t handle, int n, const type* x, int incx, const type* y,   \
                                     int incy, type* result);                                                \
  cublasStatus_t cublas##letter##asum(cublasHandle_t handle, int n, const type* x, int incx, type* result);  \
  cublasStatus_t cublas##letter##nrm2(cublasHandle_t handle, int n, const type* x, int incx, type* result);
GPU_EMULATOR_BLAS(S, float)
GPU_EMULATOR_BLAS(D, double)
#undef GPU_EMULATOR_BLAS

/// The types that this imitation has: int8 to int32 with CUBLAS_COMPUTE_32I, and int32 scalars (a and b
/// aligned to 4 bytes, lda and ldb multiples of 4, as cuBLAS wants); half, bfloat16 and float to float, and
/// half and bfloat16 to themselves, with CUBLAS_COMPUTE_32F and its fast kinds, which round the operands, and
/// float scalars; double.
cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m,
                            int n, int k, const void* alpha, const void* a, cudaDataType type_a, int lda,
                            const void* b, cudaDataType type_b, int ldb, const void* beta, void* c,
                            cudaDataType type_c, int ldc, cublasComputeType_t compute,
                            cublasGemmAlgo_t algorithm);
cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t op_a,
                                          cublasOperation_t op_b, int m, int n, int k, const void* alpha,
                                          const void* a, cudaDataType type_a, int lda, long long stride_a,
                                          const void* b, cudaDataType type_b, int ldb, long long stride_b,
                                          const void* beta, void* c, cudaDataType type_c, int ldc,
                                          long long stride_c, int batch, cublasComputeType_t compute,
                                          cublasGemmAlgo_t algorithm);

#endif  // CAFFE_GPU_EMULATOR_CUBLAS_V2_H_
