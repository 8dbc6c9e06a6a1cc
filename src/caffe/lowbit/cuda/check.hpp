#ifndef CAFFE_LOWBIT_CUDA_CHECK_HPP_
#define CAFFE_LOWBIT_CUDA_CHECK_HPP_

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

// What libhwgq_cuda has of CUDA's runtime: errors, devices, memory.
namespace caffe {
namespace lowbit {
namespace gpu {

/// @throws PlanError with the status's name and, where the driver or the GPU is missing, with what to do.
void Check(cudaError_t status, const char* call);

#define HWGQ_CUDA_CHECK(call) ::caffe::lowbit::gpu::Check(call, #call)

/// Makes a GPU the calling thread's for as long as it lives. @throws PlanError where there is no such GPU.
class DeviceScope {
 public:
  explicit DeviceScope(int device);
  ~DeviceScope();
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;

 private:
  int before_ = 0;
};

/// Memory of the calling thread's GPU; undefined values.
class DeviceBytes {
 public:
  DeviceBytes() = default;
  /// @throws PlanError that tells how much was asked for and how much is free.
  explicit DeviceBytes(size_t bytes);
  ~DeviceBytes();
  DeviceBytes(DeviceBytes&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  DeviceBytes& operator=(DeviceBytes&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }

  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }
  uint8_t* data() const { return as<uint8_t>(); }
  size_t size() const { return size_; }

 private:
  void* data_ = nullptr;
  size_t size_ = 0;
};

/// Memory of the host that a GPU copies from and to by itself.
class PinnedBytes {
 public:
  PinnedBytes() = default;
  explicit PinnedBytes(size_t bytes);
  ~PinnedBytes();
  PinnedBytes(PinnedBytes&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
  PinnedBytes& operator=(PinnedBytes&& other) noexcept {
    std::swap(data_, other.data_);
    return *this;
  }

  uint8_t* data() const { return data_; }

 private:
  uint8_t* data_ = nullptr;
};

/// A copy on the calling thread's GPU, with room for `padding` zeros more.
template <typename T>
DeviceBytes Upload(const std::vector<T>& values, size_t padding = 0) {
  std::vector<T> padded = values;
  padded.resize(values.size() + padding);
  DeviceBytes copy(padded.size() * sizeof(T));
  if (!padded.empty()) {
    HWGQ_CUDA_CHECK(
        cudaMemcpy(copy.data(), padded.data(), padded.size() * sizeof(T), cudaMemcpyHostToDevice));
  }
  return copy;
}

/// Of the calling thread's GPU.
int Multiprocessors();

}  // namespace gpu
}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_CUDA_CHECK_HPP_
