// The calling thread's GPU, and what the CUDA libraries need to work on it.
#include "caffe/common.hpp"

#ifndef CPU_ONLY

#include "caffe/util/gpu_precision.hpp"
#include "caffe/util/math_functions.hpp"

namespace caffe {

namespace {

// "13.0" of 13000.
string VersionText(int version) {
  return version == 0 ? "none" : std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

int Versioned(cudaError_t (*query)(int*)) {
  int version = 0;
  return query(&version) == cudaSuccess ? version : 0;
}

constexpr char kWayOut[] =
    "; without a GPU compute in CPU mode (solver_mode: CPU, -cpu, caffe.set_mode_cpu())";

}  // namespace

void ThrowCudaError(cudaError_t status, const char* call) {
  // So that the next call does not find this one's error.
  cudaGetLastError();
  ostringstream text;
  text << "CUDA error " << cudaGetErrorName(status) << ": " << cudaGetErrorString(status);
  switch (status) {
    case cudaErrorInsufficientDriver:
    case cudaErrorSystemDriverMismatch:
      text << ": the NVIDIA driver is missing or too old: it offers CUDA "
           << VersionText(Versioned(cudaDriverGetVersion)) << ", and Caffe was built with "
           << VersionText(Versioned(cudaRuntimeGetVersion)) << kWayOut;
      break;
    case cudaErrorNoDevice:
      text << ": there is no GPU, or CUDA_VISIBLE_DEVICES hides it" << kWayOut;
      break;
    case cudaErrorMemoryAllocation:
      text << ": use a smaller batch_size or input";
      break;
    default:
      text << " (" << call << ")";
  }
  throw Error(text.str());
}

const char* cublasGetErrorString(cublasStatus_t error) { return cublasGetStatusName(error); }

const char* curandGetErrorString(curandStatus_t error) {
  switch (error) {
    case CURAND_STATUS_SUCCESS:
      return "CURAND_STATUS_SUCCESS";
    case CURAND_STATUS_VERSION_MISMATCH:
      return "CURAND_STATUS_VERSION_MISMATCH";
    case CURAND_STATUS_NOT_INITIALIZED:
      return "CURAND_STATUS_NOT_INITIALIZED";
    case CURAND_STATUS_ALLOCATION_FAILED:
      return "CURAND_STATUS_ALLOCATION_FAILED";
    case CURAND_STATUS_TYPE_ERROR:
      return "CURAND_STATUS_TYPE_ERROR";
    case CURAND_STATUS_OUT_OF_RANGE:
      return "CURAND_STATUS_OUT_OF_RANGE";
    case CURAND_STATUS_LENGTH_NOT_MULTIPLE:
      return "CURAND_STATUS_LENGTH_NOT_MULTIPLE";
    case CURAND_STATUS_DOUBLE_PRECISION_REQUIRED:
      return "CURAND_STATUS_DOUBLE_PRECISION_REQUIRED";
    case CURAND_STATUS_LAUNCH_FAILURE:
      return "CURAND_STATUS_LAUNCH_FAILURE";
    case CURAND_STATUS_PREEXISTING_FAILURE:
      return "CURAND_STATUS_PREEXISTING_FAILURE";
    case CURAND_STATUS_INITIALIZATION_FAILED:
      return "CURAND_STATUS_INITIALIZATION_FAILED";
    case CURAND_STATUS_ARCH_MISMATCH:
      return "CURAND_STATUS_ARCH_MISMATCH";
    case CURAND_STATUS_INTERNAL_ERROR:
      return "CURAND_STATUS_INTERNAL_ERROR";
  }
  return "an unknown status of cuRAND";
}

void Caffe::ReleaseHandles() {
  // Nothing to be told of a failure: at the end of a program the driver may be gone.
  if (cublas_handle_) cublasDestroy(cublas_handle_);
  if (curand_generator_) curandDestroyGenerator(curand_generator_);
  cublas_handle_ = nullptr;
  curand_generator_ = nullptr;
}

void Caffe::MakeHandlesOf(int device) {
  if (handles_device_ == device) return;
  ReleaseHandles();
  handles_device_ = device;
}

cublasHandle_t Caffe::cublas_handle() {
  Caffe& instance = Get();
  instance.MakeHandlesOf(device());
  if (!instance.cublas_handle_) {
    // Once, so that a mode which others set later stays.
    const cublasMath_t math = AllowTF32() ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_DEFAULT_MATH;
    CUBLAS_CHECK(cublasCreate(&instance.cublas_handle_));
    CUBLAS_CHECK(cublasSetStream(instance.cublas_handle_, cudaStreamPerThread));
    CUBLAS_CHECK(cublasSetMathMode(instance.cublas_handle_, math));
  }
  return instance.cublas_handle_;
}

curandGenerator_t Caffe::curand_generator() {
  Caffe& instance = Get();
  instance.MakeHandlesOf(device());
  if (!instance.curand_generator_) {
    CURAND_CHECK(curandCreateGenerator(&instance.curand_generator_, CURAND_RNG_PSEUDO_PHILOX4_32_10));
    CURAND_CHECK(curandSetStream(instance.curand_generator_, cudaStreamPerThread));
    CURAND_CHECK(curandSetPseudoRandomGeneratorSeed(instance.curand_generator_, caffe_rng_rand()));
  }
  return instance.curand_generator_;
}

int Caffe::device_count() {
  int count = 0;
  CUDA_CHECK(cudaGetDeviceCount(&count));
  CHECK_GT(count, 0) << "this machine has no GPU" << kWayOut;
  return count;
}

void Caffe::SetDevice(const int device_id) {
  const int count = device_count();
  CHECK(device_id >= 0 && device_id < count)
      << "there is no GPU " << device_id << ": this machine has "
      << (count == 1 ? string("one, number 0")
                     : std::to_string(count) + ", numbers 0 to " + std::to_string(count - 1));
  CUDA_CHECK(cudaSetDevice(device_id));
}

int Caffe::device() {
  int device = 0;
  CUDA_CHECK(cudaGetDevice(&device));
  return device;
}

void Caffe::DeviceQuery() {
  device_count();
  const int current = device();
  cudaDeviceProp properties;
  CUDA_CHECK(cudaGetDeviceProperties(&properties, current));
  LOG(INFO) << "Device id:                     " << current;
  LOG(INFO) << "Major revision number:         " << properties.major;
  LOG(INFO) << "Minor revision number:         " << properties.minor;
  LOG(INFO) << "Name:                          " << properties.name;
  LOG(INFO) << "Total global memory:           " << properties.totalGlobalMem;
  LOG(INFO) << "Total shared memory per block: " << properties.sharedMemPerBlock;
  LOG(INFO) << "Total registers per block:     " << properties.regsPerBlock;
  LOG(INFO) << "Warp size:                     " << properties.warpSize;
  LOG(INFO) << "Maximum threads per block:     " << properties.maxThreadsPerBlock;
  LOG(INFO) << "Maximum dimension of block:    " << properties.maxThreadsDim[0] << ", "
            << properties.maxThreadsDim[1] << ", " << properties.maxThreadsDim[2];
  LOG(INFO) << "Maximum dimension of grid:     " << properties.maxGridSize[0] << ", "
            << properties.maxGridSize[1] << ", " << properties.maxGridSize[2];
  LOG(INFO) << "Total constant memory:         " << properties.totalConstMem;
  LOG(INFO) << "Number of multiprocessors:     " << properties.multiProcessorCount;
  LOG(INFO) << "CUDA of driver and build:      " << VersionText(Versioned(cudaDriverGetVersion)) << ", "
            << VersionText(Versioned(cudaRuntimeGetVersion));
}

bool Caffe::CheckDevice(const int device_id) {
  int before = 0, count = 0;
  const bool there = cudaGetDeviceCount(&count) == cudaSuccess && device_id >= 0 && device_id < count &&
                     cudaGetDevice(&before) == cudaSuccess && cudaSetDevice(device_id) == cudaSuccess;
  // cudaFree(nullptr) makes the context, which a device that is another's alone does not let be made.
  const bool usable = there && cudaFree(nullptr) == cudaSuccess;
  if (there) cudaSetDevice(before);
  cudaGetLastError();
  return usable;
}

int Caffe::FindDevice(const int start_id) {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) cudaGetLastError();
  for (int device = start_id; device < count; ++device) {
    if (CheckDevice(device)) return device;
  }
  return -1;
}

}  // namespace caffe

#endif  // !CPU_ONLY
