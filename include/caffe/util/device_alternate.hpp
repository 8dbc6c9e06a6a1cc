#ifndef CAFFE_UTIL_DEVICE_ALTERNATE_H_
#define CAFFE_UTIL_DEVICE_ALTERNATE_H_

#include "caffe/util/logging.hpp"
#include "caffe/util/target_clones.hpp"

/// Marks a function that CPU code and CUDA kernels both call.
#ifdef __CUDACC__
#define CAFFE_HOST_DEVICE __host__ __device__
#else
#define CAFFE_HOST_DEVICE
#endif

#ifdef CPU_ONLY

/// Stands where a GPU is needed in a build without one.
#define NO_GPU                                                                                         \
  LOG(FATAL) << "this needs a GPU, but Caffe was built without CUDA: use CPU mode (solver_mode: CPU, " \
                "-cpu, caffe.set_mode_cpu()) or build with CUDA"

/// The GPU half of a layer in a build without CUDA: each method raises the error of NO_GPU.
#define STUB_GPU(classname)                                                                      \
  template <typename Dtype>                                                                      \
  void classname<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) { \
    NO_GPU;                                                                                      \
  }                                                                                              \
  template <typename Dtype>                                                                      \
  void classname<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>&, const vector<bool>&,          \
                                      const vector<Blob<Dtype>*>&) {                             \
    NO_GPU;                                                                                      \
  }

#define STUB_GPU_FORWARD(classname, funcname)                                                       \
  template <typename Dtype>                                                                         \
  void classname<Dtype>::funcname##_gpu(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) { \
    NO_GPU;                                                                                         \
  }

#define STUB_GPU_BACKWARD(classname, funcname)                                            \
  template <typename Dtype>                                                               \
  void classname<Dtype>::funcname##_gpu(const vector<Blob<Dtype>*>&, const vector<bool>&, \
                                        const vector<Blob<Dtype>*>&) {                    \
    NO_GPU;                                                                               \
  }

#else  // !CPU_ONLY

#include <cublas_v2.h>
#include <cuda.h>
#include <cuda_runtime.h>
#include <curand.h>
#include <driver_types.h>

// Each checks what a call of a CUDA library returns. @throws caffe::Error with the status's name and the
// library's words.
#define CUDA_CHECK(condition)                                                         \
  do {                                                                                \
    const cudaError_t cuda_status = condition;                                        \
    if (cuda_status != cudaSuccess) ::caffe::ThrowCudaError(cuda_status, #condition); \
  } while (0)
#define CUBLAS_CHECK(condition)                                                                            \
  do {                                                                                                     \
    const cublasStatus_t cublas_status = condition;                                                        \
    CHECK_EQ(cublas_status, CUBLAS_STATUS_SUCCESS) << " " << ::caffe::cublasGetErrorString(cublas_status); \
  } while (0)
#define CURAND_CHECK(condition)                                                                            \
  do {                                                                                                     \
    const curandStatus_t curand_status = condition;                                                        \
    CHECK_EQ(curand_status, CURAND_STATUS_SUCCESS) << " " << ::caffe::curandGetErrorString(curand_status); \
  } while (0)

/// Runs a kernel's body for i = 0 ... n - 1, whatever the size of the grid.
#define CUDA_KERNEL_LOOP(i, n) \
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += blockDim.x * gridDim.x)

/// After a kernel's start: throws where it could not start.
#define CUDA_POST_KERNEL_CHECK CUDA_CHECK(cudaPeekAtLastError())

namespace caffe {

/// @throws Error with the status's name and, where the driver or the GPU is missing, with what to do.
[[noreturn]] void ThrowCudaError(cudaError_t status, const char* call);
/// The status's name.
const char* cublasGetErrorString(cublasStatus_t error);
const char* curandGetErrorString(curandStatus_t error);

/// Threads of a block.
const int CAFFE_CUDA_NUM_THREADS = 512;

/// Blocks that have a thread for each of N elements.
inline int CAFFE_GET_BLOCKS(const int N) { return (N + CAFFE_CUDA_NUM_THREADS - 1) / CAFFE_CUDA_NUM_THREADS; }

}  // namespace caffe

#endif  // CPU_ONLY

#endif  // CAFFE_UTIL_DEVICE_ALTERNATE_H_
