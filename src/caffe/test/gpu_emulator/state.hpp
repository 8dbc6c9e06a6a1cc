#ifndef CAFFE_GPU_EMULATOR_STATE_HPP_
#define CAFFE_GPU_EMULATOR_STATE_HPP_

/// @file
/// What the parts of the emulator share: settings, the calling thread's device and error, and the GPUs'
/// memory.

#include <cstddef>
#include <optional>
#include <string>

#include "cuda_runtime_api.h"

namespace gpu_emulator {

constexpr int kMostDevices = 16;

/// Says `message` on stderr, and ends the process.
[[noreturn]] void Die(const std::string& message);
/// Says `message` on stderr.
void Complain(const std::string& message);

/// A number from the environment.
size_t EnvironmentNumber(const char* name, size_t otherwise);

bool IsStrict();
int DeviceCount();
/// Of each device.
size_t DeviceMemoryLimit();
int DriverVersion();
/// cudaSuccess, or why no GPU can be had.
cudaError_t NeedDevice();

int CurrentDevice();
void SetCurrentDevice(int device);

void SetLastError(cudaError_t error);

/// An allocation on a GPU.
struct Allocation {
  char* begin;
  size_t bytes;
  int device;
  /// Taken from the pool of stream-ordered memory.
  bool pooled;
};

/// Garbage in *memory. cudaErrorMemoryAllocation where the device has too little.
cudaError_t AllocateOnDevice(int device, size_t bytes, bool pooled, void** memory);
/// cudaErrorInvalidValue where `memory` is not the begin of an allocation. Looks at the guards.
cudaError_t FreeOnDevice(void* memory);
/// The device that an address belongs to, allocated or not; -1: the host.
int DeviceOf(const void* address);
/// The allocation that has `address` inside.
std::optional<Allocation> FindAllocation(const void* address);

struct MemoryUse {
  size_t all, pooled, most_pooled;
};
MemoryUse UseOf(int device);
void ResetMostPooled(int device);
/// Frees all of a device.
void FreeAllOf(int device);

/// For copies: opens the memory of all GPUs.
class AccessToAll {
 public:
  AccessToAll();
  ~AccessToAll();
  AccessToAll(const AccessToAll&) = delete;
  AccessToAll& operator=(const AccessToAll&) = delete;
};

/// Whether [memory, memory + bytes) is pinned memory of the host.
bool IsPinned(const void* memory, size_t bytes);

/// Whether kernels of `device` reach the memory of `peer`.
bool HasPeerAccess(int device, int peer);

/// Whether the stream exists and is one of the device.
bool CanUseStream(cudaStream_t stream, int device);

/// Of cuBLAS and so on: whether [memory, memory + bytes) can be used on the current device; complains if not.
bool CheckOperand(const char* function, const char* operand, const void* memory, size_t bytes);

}  // namespace gpu_emulator

#endif  // CAFFE_GPU_EMULATOR_STATE_HPP_
