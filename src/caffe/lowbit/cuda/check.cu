#include "caffe/lowbit/cuda/check.hpp"

#include <string>

#include "caffe/lowbit/plan.hpp"
#include "caffe/util/device_alternate.hpp"

namespace caffe {

// For LaunchKernel, whose header asks for it. This library hides its own, so that libcaffe's stays
// libcaffe's.
void ThrowCudaError(cudaError_t status, const char* call) {
  lowbit::gpu::Check(status, call);
  throw lowbit::PlanError(std::string(call) + " failed");
}

namespace lowbit {
namespace gpu {

namespace {

std::string Version(cudaError_t (*query)(int*)) {
  int version = 0;
  if (query(&version) != cudaSuccess || version == 0) return "none";
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

constexpr char kWayOut[] = "; without a GPU load the model for the CPU";

}  // namespace

void Check(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  // So that the next call does not find this one's error.
  cudaGetLastError();
  std::string text =
      std::string("CUDA error ") + cudaGetErrorName(status) + ": " + cudaGetErrorString(status);
  switch (status) {
    case cudaErrorInsufficientDriver:
    case cudaErrorSystemDriverMismatch:
      text += ": the NVIDIA driver is missing or too old: it offers CUDA " + Version(cudaDriverGetVersion) +
              ", and libhwgq_cuda was built with " + Version(cudaRuntimeGetVersion) + kWayOut;
      break;
    case cudaErrorNoDevice:
      text += std::string(": there is no GPU, or CUDA_VISIBLE_DEVICES hides it") + kWayOut;
      break;
    default:
      text += std::string(" (") + call + ")";
  }
  throw PlanError(text);
}

DeviceScope::DeviceScope(int device) {
  int count = 0;
  HWGQ_CUDA_CHECK(cudaGetDeviceCount(&count));
  if (count == 0) throw PlanError(std::string("this machine has no GPU") + kWayOut);
  if (device < 0 || device >= count) {
    throw PlanError("there is no GPU " + std::to_string(device) + ": this machine has " +
                    (count == 1 ? "GPU 0 alone" : "GPUs 0 to " + std::to_string(count - 1)));
  }
  HWGQ_CUDA_CHECK(cudaGetDevice(&before_));
  HWGQ_CUDA_CHECK(cudaSetDevice(device));
}

DeviceScope::~DeviceScope() { cudaSetDevice(before_); }

DeviceBytes::DeviceBytes(size_t bytes) : size_(bytes) {
  const cudaError_t status = cudaMalloc(&data_, bytes > 0 ? bytes : 1);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    size_t free = 0, total = 0;
    HWGQ_CUDA_CHECK(cudaMemGetInfo(&free, &total));
    throw PlanError("the GPU has not enough memory: " + std::to_string(bytes) + " bytes were asked for, " +
                    std::to_string(free) + " of " + std::to_string(total) + " are free; use a smaller batch");
  }
  HWGQ_CUDA_CHECK(status);
}

// Fails at the end of a program, when the driver has freed all.
DeviceBytes::~DeviceBytes() {
  if (data_ && cudaFree(data_) != cudaSuccess) cudaGetLastError();
}

PinnedBytes::PinnedBytes(size_t bytes) {
  HWGQ_CUDA_CHECK(cudaMallocHost(reinterpret_cast<void**>(&data_), bytes > 0 ? bytes : 1));
}

PinnedBytes::~PinnedBytes() {
  if (data_ && cudaFreeHost(data_) != cudaSuccess) cudaGetLastError();
}

int Multiprocessors() {
  int device = 0, count = 0;
  HWGQ_CUDA_CHECK(cudaGetDevice(&device));
  HWGQ_CUDA_CHECK(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device));
  return count;
}

}  // namespace gpu
}  // namespace lowbit
}  // namespace caffe
