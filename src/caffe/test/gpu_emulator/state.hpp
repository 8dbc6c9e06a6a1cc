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
bool IsLazy();
int DeviceCount();
/// Of each device.
size_t DeviceMemoryLimit();
int DriverVersion();
/// cudaSuccess, or why no GPU can be had.
cudaError_t NeedDevice();

int CurrentDevice();
void SetCurrentDevice(int device);

void SetLastError(cudaError_t error);
/// What functions return, kept for cudaGetLastError too.
cudaError_t Report(cudaError_t error);
#define RETURN_IF_ERROR(expression)                                                 \
  do {                                                                              \
    if (const cudaError_t status = expression) return gpu_emulator::Report(status); \
  } while (0)

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
/// Ends the allocation that begins at `memory`, which keeps its room until that is released. Nothing where
/// there is none.
std::optional<Allocation> EndAllocation(void* memory);
/// Looks at the guards, and gives the room of an ended allocation to others.
void ReleaseRoom(const Allocation& allocation);
/// The device that an address belongs to, allocated or not; -1: the host.
int DeviceOf(const void* address);
/// The allocation that has `address` inside.
std::optional<Allocation> FindAllocation(const void* address);

struct MemoryUse {
  size_t all, pooled, most_pooled;
  /// What the pool has of the device: what is pooled, and what it keeps for later.
  size_t reserved;
};
MemoryUse UseOf(int device);
/// Whether the device's pool keeps what is given back to it; at first it does not.
void SetPoolKeeps(int device, bool keeps);
/// Lets the pool keep no more than so many bytes, those in use included.
void TrimPool(int device, size_t bytes);
void ResetMostPooled(int device);
/// Ends all allocations of a device, and releases them.
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

/// To the nearest of the numbers with 10 bits of mantissa, of which tensor cores take floats.
float RoundToTF32(float x);

/// Of cuBLAS and so on: whether [memory, memory + bytes) can be used on the current device; complains if not.
bool CheckOperand(const char* function, const char* operand, const void* memory, size_t bytes);

}  // namespace gpu_emulator

#endif  // CAFFE_GPU_EMULATOR_STATE_HPP_
