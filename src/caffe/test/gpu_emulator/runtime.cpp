// The CUDA runtime's functions for devices and memory.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "cuda_runtime.h"
#include "state.hpp"
#include "streams.hpp"

struct CUmemPoolHandle_st {
  int device;
  uint64_t release_threshold;
};

namespace gpu_emulator {
namespace {

constexpr size_t kHostGuard = 64;
constexpr int kGuard = 0xa5;
constexpr int kGarbage = 0xff;

cudaError_t ValidDevice(int device) {
  if (const cudaError_t error = NeedDevice()) return error;
  return device >= 0 && device < DeviceCount() ? cudaSuccess : cudaErrorInvalidDevice;
}

// ---- Pinned memory of the host ----

struct Pinned {
  size_t bytes;
  bool registered;
};

struct PinnedMemory {
  std::mutex mutex;
  std::map<char*, Pinned> blocks;
};

PinnedMemory& ThePinnedMemory() {
  static PinnedMemory* const memory = new PinnedMemory;
  return *memory;
}

/// The block that has the address inside, or end().
std::map<char*, Pinned>::iterator FindPinned(PinnedMemory& pinned, const void* address) {
  const auto after = pinned.blocks.upper_bound(static_cast<char*>(const_cast<void*>(address)));
  if (after == pinned.blocks.begin()) return pinned.blocks.end();
  const auto block = std::prev(after);
  return static_cast<const char*>(address) < block->first + block->second.bytes ? block : pinned.blocks.end();
}

// ---- Copies ----

enum class Side { kHost, kDevice, kInvalid };

/// Where [memory, memory + bytes) lies.
Side SideOf(const void* memory, size_t bytes) {
  if (memory == nullptr) return Side::kInvalid;
  if (DeviceOf(memory) >= 0) return IsDeviceMemory(memory, bytes) ? Side::kDevice : Side::kInvalid;
  PinnedMemory& pinned = ThePinnedMemory();
  const std::lock_guard<std::mutex> lock(pinned.mutex);
  const auto block = FindPinned(pinned, memory);
  if (block == pinned.blocks.end()) return Side::kHost;
  const size_t left =
      static_cast<size_t>(block->first + block->second.bytes - static_cast<const char*>(memory));
  return bytes <= left ? Side::kHost : Side::kInvalid;
}

cudaError_t CheckCopy(const void* to, size_t to_bytes, const void* from, size_t from_bytes,
                      cudaMemcpyKind kind) {
  const Side to_side = SideOf(to, to_bytes), from_side = SideOf(from, from_bytes);
  if (to_side == Side::kInvalid || from_side == Side::kInvalid) return cudaErrorInvalidValue;
  Side to_expected, from_expected;
  switch (kind) {
    case cudaMemcpyHostToHost:
      to_expected = from_expected = Side::kHost;
      break;
    case cudaMemcpyHostToDevice:
      to_expected = Side::kDevice, from_expected = Side::kHost;
      break;
    case cudaMemcpyDeviceToHost:
      to_expected = Side::kHost, from_expected = Side::kDevice;
      break;
    case cudaMemcpyDeviceToDevice:
      to_expected = from_expected = Side::kDevice;
      break;
    case cudaMemcpyDefault:
      return cudaSuccess;
    default:
      return cudaErrorInvalidMemcpyDirection;
  }
  return to_side == to_expected && from_side == from_expected ? cudaSuccess : cudaErrorInvalidValue;
}

/// The bytes from the first to the last of `height` rows of `width` bytes; 0: none.
size_t Extent(size_t pitch, size_t width, size_t height) {
  return width == 0 || height == 0 ? 0 : (height - 1) * pitch + width;
}

void CopyRows(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width, size_t height) {
  for (size_t row = 0; row < height; ++row) {
    std::memmove(static_cast<char*>(to) + row * to_pitch, static_cast<const char*>(from) + row * from_pitch,
                 width);
  }
}

/// @param waits the call is one of those that return when all is done, or at least when the host's memory is
/// free.
cudaError_t Copy2D(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                   size_t height, cudaMemcpyKind kind, cudaStream_t stream, bool waits) {
  RETURN_IF_ERROR(ValidStream(stream));
  if (width == 0 || height == 0) return cudaSuccess;
  if (width > to_pitch || width > from_pitch) return Report(cudaErrorInvalidValue);
  const size_t to_extent = Extent(to_pitch, width, height), from_extent = Extent(from_pitch, width, height);
  RETURN_IF_ERROR(CheckCopy(to, to_extent, from, from_extent, kind));
  const bool from_host = DeviceOf(from) < 0, to_host = DeviceOf(to) < 0;
  const bool from_pageable = from_host && !IsPinned(from, from_extent);
  const bool to_pageable = to_host && !IsPinned(to, to_extent);
  if (IsLazy() && from_pageable && !to_host) {
    // It is read before the call returns, whatever the call.
    std::vector<char> staged(width * height);
    CopyRows(staged.data(), width, from, from_pitch, width, height);
    Submit(stream, [=, staged = std::move(staged)] {
      const AccessToAll access;
      CopyRows(to, to_pitch, staged.data(), width, width, height);
    });
    return cudaSuccess;
  }
  Submit(stream, [=] {
    const AccessToAll access;
    CopyRows(to, to_pitch, from, from_pitch, width, height);
  });
  if (to_pageable || (waits && (from_host || to_host))) WaitForStream(stream);
  return cudaSuccess;
}

cudaError_t Set2D(void* memory, size_t pitch, int value, size_t width, size_t height, cudaStream_t stream) {
  RETURN_IF_ERROR(ValidStream(stream));
  if (width == 0 || height == 0) return cudaSuccess;
  const size_t extent = Extent(pitch, width, height);
  if (width > pitch || (!IsDeviceMemory(memory, extent) && !IsPinned(memory, extent))) {
    return Report(cudaErrorInvalidValue);
  }
  Submit(stream, [=] {
    const AccessToAll access;
    for (size_t row = 0; row < height; ++row)
      std::memset(static_cast<char*>(memory) + row * pitch, value, width);
  });
  return cudaSuccess;
}

// ---- Pools ----

CUmemPoolHandle_st& PoolOf(int device) {
  static CUmemPoolHandle_st* const pools = [] {
    auto* const all = new CUmemPoolHandle_st[kMostDevices];
    for (int i = 0; i < kMostDevices; ++i) all[i] = {i, 0};
    return all;
  }();
  return pools[device];
}

cudaError_t Allocate(int device, bool pooled, void** memory, size_t bytes) {
  if (!memory) return cudaErrorInvalidValue;
  *memory = nullptr;
  if (bytes == 0) return cudaSuccess;
  return AllocateOnDevice(device, bytes, pooled, memory);
}

struct ErrorText {
  cudaError_t error;
  const char *name, *text;
};
constexpr ErrorText kErrors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInitializationError, "cudaErrorInitializationError", "initialization error"},
    {cudaErrorCudartUnloading, "cudaErrorCudartUnloading", "driver shutting down"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    {cudaErrorInvalidSymbol, "cudaErrorInvalidSymbol", "invalid device symbol"},
    {cudaErrorInvalidDevicePointer, "cudaErrorInvalidDevicePointer", "invalid device pointer"},
    {cudaErrorInvalidMemcpyDirection, "cudaErrorInvalidMemcpyDirection", "invalid copy direction for memcpy"},
    {cudaErrorStubLibrary, "cudaErrorStubLibrary", "CUDA driver is a stub library"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorInvalidDeviceFunction, "cudaErrorInvalidDeviceFunction", "invalid device function"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorNoKernelImageForDevice, "cudaErrorNoKernelImageForDevice",
     "no kernel image is available for execution on the device"},
    {cudaErrorPeerAccessUnsupported, "cudaErrorPeerAccessUnsupported",
     "peer access is not supported between these two devices"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorIllegalState, "cudaErrorIllegalState",
     "the operation cannot be performed in the present state"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
    {cudaErrorLaunchOutOfResources, "cudaErrorLaunchOutOfResources",
     "too many resources requested for launch"},
    {cudaErrorPeerAccessAlreadyEnabled, "cudaErrorPeerAccessAlreadyEnabled",
     "peer access is already enabled"},
    {cudaErrorPeerAccessNotEnabled, "cudaErrorPeerAccessNotEnabled", "peer access has not been enabled"},
    {cudaErrorHostMemoryAlreadyRegistered, "cudaErrorHostMemoryAlreadyRegistered",
     "part or all of the requested memory range is already mapped"},
    {cudaErrorHostMemoryNotRegistered, "cudaErrorHostMemoryNotRegistered",
     "pointer does not correspond to a registered memory region"},
    {cudaErrorMisalignedAddress, "cudaErrorMisalignedAddress", "misaligned address"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
    {cudaErrorSystemDriverMismatch, "cudaErrorSystemDriverMismatch",
     "system has unsupported display driver / cuda driver combination"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureImplicit, "cudaErrorStreamCaptureImplicit",
     "operation would make the legacy stream depend on a capturing blocking stream"},
    {cudaErrorStreamCaptureWrongThread, "cudaErrorStreamCaptureWrongThread",
     "attempt to terminate a thread-local capture sequence from another thread"},
    {cudaErrorUnknown, "cudaErrorUnknown", "unknown error"},
};

}  // namespace

bool IsPinned(const void* memory, size_t bytes) {
  PinnedMemory& pinned = ThePinnedMemory();
  const std::lock_guard<std::mutex> lock(pinned.mutex);
  const auto block = FindPinned(pinned, memory);
  return block != pinned.blocks.end() &&
         bytes <= static_cast<size_t>(block->first + block->second.bytes - static_cast<const char*>(memory));
}

}  // namespace gpu_emulator

using namespace gpu_emulator;

const char* cudaGetErrorName(cudaError_t error) {
  for (const ErrorText& one : kErrors) {
    if (one.error == error) return one.name;
  }
  return "unrecognized error code";
}

const char* cudaGetErrorString(cudaError_t error) {
  for (const ErrorText& one : kErrors) {
    if (one.error == error) return one.text;
  }
  return "unrecognized error code";
}

// ---- Devices ----

cudaError_t cudaDriverGetVersion(int* version) {
  if (!version) return Report(cudaErrorInvalidValue);
  *version = DriverVersion();
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  if (!version) return Report(cudaErrorInvalidValue);
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  if (!count) return Report(cudaErrorInvalidValue);
  *count = 0;
  RETURN_IF_ERROR(NeedDevice());
  *count = DeviceCount();
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
  if (!device) return Report(cudaErrorInvalidValue);
  RETURN_IF_ERROR(NeedDevice());
  *device = CurrentDevice();
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  RETURN_IF_ERROR(ValidDevice(device));
  SetCurrentDevice(device);
  return cudaSuccess;
}

cudaError_t cudaInitDevice(int device, unsigned, unsigned) { return Report(ValidDevice(device)); }

cudaError_t cudaSetDeviceFlags(unsigned) { return Report(NeedDevice()); }

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (!properties) return Report(cudaErrorInvalidValue);
  RETURN_IF_ERROR(ValidDevice(device));
  cudaDeviceProp& p = *properties;
  p = cudaDeviceProp{};
  std::snprintf(p.name, sizeof(p.name), "Emulated GPU %d", device);
  std::memset(p.uuid.bytes, device, sizeof(p.uuid.bytes));
  p.totalGlobalMem = DeviceMemoryLimit();
  // What a kernel gets is as of an H100 or H200.
  p.sharedMemPerBlock = 48 << 10;
  p.sharedMemPerBlockOptin = 227 << 10;
  p.sharedMemPerMultiprocessor = 228 << 10;
  p.reservedSharedMemPerBlock = 1 << 10;
  p.regsPerBlock = p.regsPerMultiprocessor = 65536;
  p.warpSize = 32;
  p.memPitch = 0x7fffffff;
  p.maxThreadsPerBlock = 1024;
  p.maxThreadsDim[0] = p.maxThreadsDim[1] = 1024;
  p.maxThreadsDim[2] = 64;
  p.maxGridSize[0] = 0x7fffffff;
  p.maxGridSize[1] = p.maxGridSize[2] = 65535;
  p.totalConstMem = 64 << 10;
  p.major = 9;
  p.minor = 0;
  p.textureAlignment = 512;
  p.multiProcessorCount = 4;
  p.canMapHostMemory = 1;
  p.concurrentKernels = 1;
  p.pciBusID = device + 1;
  p.asyncEngineCount = 3;
  p.unifiedAddressing = 1;
  p.memoryBusWidth = 64;
  p.l2CacheSize = 1 << 20;
  p.maxThreadsPerMultiProcessor = 2048;
  p.maxBlocksPerMultiProcessor = 32;
  p.streamPrioritiesSupported = 1;
  p.cooperativeLaunch = 1;
  p.memoryPoolsSupported = 1;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  if (!value) return Report(cudaErrorInvalidValue);
  cudaDeviceProp p;
  RETURN_IF_ERROR(cudaGetDeviceProperties(&p, device));
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
      *value = p.maxThreadsPerBlock;
      break;
    case cudaDevAttrMaxBlockDimX:
    case cudaDevAttrMaxBlockDimY:
    case cudaDevAttrMaxBlockDimZ:
      *value = p.maxThreadsDim[attribute - cudaDevAttrMaxBlockDimX];
      break;
    case cudaDevAttrMaxGridDimX:
    case cudaDevAttrMaxGridDimY:
    case cudaDevAttrMaxGridDimZ:
      *value = p.maxGridSize[attribute - cudaDevAttrMaxGridDimX];
      break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      *value = static_cast<int>(p.sharedMemPerBlock);
      break;
    case cudaDevAttrTotalConstantMemory:
      *value = static_cast<int>(p.totalConstMem);
      break;
    case cudaDevAttrWarpSize:
      *value = p.warpSize;
      break;
    case cudaDevAttrMaxPitch:
      *value = static_cast<int>(p.memPitch);
      break;
    case cudaDevAttrMaxRegistersPerBlock:
      *value = p.regsPerBlock;
      break;
    case cudaDevAttrClockRate:
    case cudaDevAttrMemoryClockRate:
      *value = 1000000;
      break;
    case cudaDevAttrTextureAlignment:
      *value = static_cast<int>(p.textureAlignment);
      break;
    case cudaDevAttrMultiProcessorCount:
      *value = p.multiProcessorCount;
      break;
    case cudaDevAttrKernelExecTimeout:
    case cudaDevAttrIntegrated:
    case cudaDevAttrComputeMode:
    case cudaDevAttrEccEnabled:
    case cudaDevAttrManagedMemory:
    case cudaDevAttrConcurrentManagedAccess:
    case cudaDevAttrPciDeviceId:
    case cudaDevAttrPciDomainId:
      *value = 0;
      break;
    case cudaDevAttrGpuOverlap:
    case cudaDevAttrCanMapHostMemory:
    case cudaDevAttrConcurrentKernels:
    case cudaDevAttrUnifiedAddressing:
    case cudaDevAttrStreamPrioritiesSupported:
    case cudaDevAttrCooperativeLaunch:
    case cudaDevAttrMemoryPoolsSupported:
      *value = 1;
      break;
    case cudaDevAttrPciBusId:
      *value = p.pciBusID;
      break;
    case cudaDevAttrGlobalMemoryBusWidth:
      *value = p.memoryBusWidth;
      break;
    case cudaDevAttrL2CacheSize:
      *value = p.l2CacheSize;
      break;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      *value = p.maxThreadsPerMultiProcessor;
      break;
    case cudaDevAttrAsyncEngineCount:
      *value = p.asyncEngineCount;
      break;
    case cudaDevAttrComputeCapabilityMajor:
      *value = p.major;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = p.minor;
      break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      *value = static_cast<int>(p.sharedMemPerMultiprocessor);
      break;
    case cudaDevAttrMaxRegistersPerMultiprocessor:
      *value = p.regsPerMultiprocessor;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(p.sharedMemPerBlockOptin);
      break;
    case cudaDevAttrMaxBlocksPerMultiprocessor:
      *value = p.maxBlocksPerMultiProcessor;
      break;
    case cudaDevAttrReservedSharedMemoryPerBlock:
      *value = static_cast<int>(p.reservedSharedMemPerBlock);
      break;
    default:
      return Report(cudaErrorInvalidValue);
  }
  return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char* id, int length, int device) {
  RETURN_IF_ERROR(ValidDevice(device));
  if (!id || length < 13) return Report(cudaErrorInvalidValue);
  std::snprintf(id, static_cast<size_t>(length), "0000:%02X:00.0", device + 1);
  return cudaSuccess;
}

cudaError_t cudaDeviceReset() {
  RETURN_IF_ERROR(NeedDevice());
  WaitForDevice(CurrentDevice());
  FreeAllOf(CurrentDevice());
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  RETURN_IF_ERROR(NeedDevice());
  const MemoryUse use = UseOf(CurrentDevice());
  const size_t used = use.all - use.pooled + use.reserved;
  if (total) *total = DeviceMemoryLimit();
  if (free) *free = DeviceMemoryLimit() - std::min(used, DeviceMemoryLimit());
  return cudaSuccess;
}

// ---- Memory ----

cudaError_t cudaMalloc(void** memory, size_t bytes) {
  RETURN_IF_ERROR(ValidDevice(CurrentDevice()));
  return Report(Allocate(CurrentDevice(), false, memory, bytes));
}

cudaError_t cudaFree(void* memory) {
  RETURN_IF_ERROR(NeedDevice());
  if (!memory) return cudaSuccess;
  const auto allocation = EndAllocation(memory);
  if (!allocation) return Report(cudaErrorInvalidValue);
  WaitForDevice(allocation->device);
  ReleaseRoom(*allocation);
  return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** memory, size_t bytes, unsigned) {
  RETURN_IF_ERROR(NeedDevice());
  if (!memory) return Report(cudaErrorInvalidValue);
  *memory = nullptr;
  if (bytes == 0) return cudaSuccess;
  constexpr size_t kPage = 4096;
  if (bytes > SIZE_MAX - 2 * kPage) return Report(cudaErrorMemoryAllocation);
  const size_t room = (bytes + kHostGuard + kPage - 1) / kPage * kPage;
  char* const block = static_cast<char*>(std::aligned_alloc(kPage, room));
  if (!block) return Report(cudaErrorMemoryAllocation);
  std::memset(block, kGarbage, std::min<size_t>(bytes, 16 << 20));
  std::memset(block + bytes, kGuard, kHostGuard);
  PinnedMemory& pinned = ThePinnedMemory();
  const std::lock_guard<std::mutex> lock(pinned.mutex);
  pinned.blocks[block] = {bytes, false};
  *memory = block;
  return cudaSuccess;
}

cudaError_t cudaMallocHost(void** memory, size_t bytes) { return cudaHostAlloc(memory, bytes, 0); }

cudaError_t cudaFreeHost(void* memory) {
  RETURN_IF_ERROR(NeedDevice());
  if (!memory) return cudaSuccess;
  for (int device = 0; device < kMostDevices; ++device) WaitForDevice(device);
  PinnedMemory& pinned = ThePinnedMemory();
  const std::lock_guard<std::mutex> lock(pinned.mutex);
  const auto block = pinned.blocks.find(static_cast<char*>(memory));
  if (block == pinned.blocks.end() || block->second.registered) return Report(cudaErrorInvalidValue);
  for (size_t i = 0; i < kHostGuard; ++i) {
    if (static_cast<unsigned char>(block->first[block->second.bytes + i]) != kGuard) {
      Die("something was written " + std::to_string(i) + " bytes behind the end of pinned memory of " +
          std::to_string(block->second.bytes) + " bytes");
    }
  }
  std::free(block->first);
  pinned.blocks.erase(block);
  return cudaSuccess;
}

cudaError_t cudaHostRegister(void* memory, size_t bytes, unsigned) {
  RETURN_IF_ERROR(NeedDevice());
  if (!memory || bytes == 0 || DeviceOf(memory) >= 0) return Report(cudaErrorInvalidValue);
  PinnedMemory& pinned = ThePinnedMemory();
  const std::lock_guard<std::mutex> lock(pinned.mutex);
  if (FindPinned(pinned, memory) != pinned.blocks.end()) return Report(cudaErrorHostMemoryAlreadyRegistered);
  pinned.blocks[static_cast<char*>(memory)] = {bytes, true};
  return cudaSuccess;
}

cudaError_t cudaHostUnregister(void* memory) {
  RETURN_IF_ERROR(NeedDevice());
  PinnedMemory& pinned = ThePinnedMemory();
  const std::lock_guard<std::mutex> lock(pinned.mutex);
  const auto block = pinned.blocks.find(static_cast<char*>(memory));
  if (block == pinned.blocks.end() || !block->second.registered) {
    return Report(cudaErrorHostMemoryNotRegistered);
  }
  pinned.blocks.erase(block);
  return cudaSuccess;
}

cudaError_t cudaHostGetDevicePointer(void** device, void* host, unsigned) {
  RETURN_IF_ERROR(NeedDevice());
  if (!device || !IsPinned(host, 1)) return Report(cudaErrorInvalidValue);
  *device = host;
  return cudaSuccess;
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* memory) {
  RETURN_IF_ERROR(NeedDevice());
  if (!attributes) return Report(cudaErrorInvalidValue);
  void* const pointer = const_cast<void*>(memory);
  if (const auto allocation = FindAllocation(memory)) {
    *attributes = {cudaMemoryTypeDevice, allocation->device, pointer, nullptr};
  } else if (IsPinned(memory, 1)) {
    *attributes = {cudaMemoryTypeHost, CurrentDevice(), pointer, pointer};
  } else {
    *attributes = {cudaMemoryTypeUnregistered, -2, nullptr, pointer};
  }
  return cudaSuccess;
}

cudaError_t cudaMallocAsync(void** memory, size_t bytes, cudaStream_t stream) {
  RETURN_IF_ERROR(ValidStream(stream));
  return Report(Allocate(DeviceOfStream(stream), true, memory, bytes));
}

cudaError_t cudaMallocFromPoolAsync(void** memory, size_t bytes, cudaMemPool_t pool, cudaStream_t stream) {
  RETURN_IF_ERROR(ValidStream(stream));
  if (!pool) return Report(cudaErrorInvalidValue);
  return Report(Allocate(pool->device, true, memory, bytes));
}

cudaError_t cudaFreeAsync(void* memory, cudaStream_t stream) {
  RETURN_IF_ERROR(ValidStream(stream));
  if (!memory) return cudaSuccess;
  const auto allocation = EndAllocation(memory);
  if (!allocation) return Report(cudaErrorInvalidValue);
  RunInOrder(stream, [=] { ReleaseRoom(*allocation); });
  return cudaSuccess;
}

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int device) {
  RETURN_IF_ERROR(ValidDevice(device));
  if (!pool) return Report(cudaErrorInvalidValue);
  *pool = &PoolOf(device);
  return cudaSuccess;
}

cudaError_t cudaDeviceGetMemPool(cudaMemPool_t* pool, int device) {
  return cudaDeviceGetDefaultMemPool(pool, device);
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void* value) {
  if (!pool || !value) return Report(cudaErrorInvalidValue);
  switch (attribute) {
    case cudaMemPoolReuseFollowEventDependencies:
    case cudaMemPoolReuseAllowOpportunistic:
    case cudaMemPoolReuseAllowInternalDependencies:
      return cudaSuccess;
    case cudaMemPoolAttrReleaseThreshold:
      pool->release_threshold = *static_cast<uint64_t*>(value);
      SetPoolKeeps(pool->device, pool->release_threshold > 0);
      return cudaSuccess;
    case cudaMemPoolAttrReservedMemHigh:
    case cudaMemPoolAttrUsedMemHigh:
      // All that can be set is 0.
      if (*static_cast<uint64_t*>(value) != 0) return Report(cudaErrorInvalidValue);
      ResetMostPooled(pool->device);
      return cudaSuccess;
    default:
      return Report(cudaErrorInvalidValue);
  }
}

cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void* value) {
  if (!pool || !value) return Report(cudaErrorInvalidValue);
  const MemoryUse use = UseOf(pool->device);
  switch (attribute) {
    case cudaMemPoolReuseFollowEventDependencies:
    case cudaMemPoolReuseAllowOpportunistic:
    case cudaMemPoolReuseAllowInternalDependencies:
      *static_cast<int*>(value) = 1;
      return cudaSuccess;
    case cudaMemPoolAttrReleaseThreshold:
      *static_cast<uint64_t*>(value) = pool->release_threshold;
      return cudaSuccess;
    case cudaMemPoolAttrReservedMemCurrent:
      *static_cast<uint64_t*>(value) = use.reserved;
      return cudaSuccess;
    case cudaMemPoolAttrUsedMemCurrent:
      *static_cast<uint64_t*>(value) = use.pooled;
      return cudaSuccess;
    case cudaMemPoolAttrReservedMemHigh:
    case cudaMemPoolAttrUsedMemHigh:
      *static_cast<uint64_t*>(value) = use.most_pooled;
      return cudaSuccess;
    default:
      return Report(cudaErrorInvalidValue);
  }
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t bytes) {
  if (!pool) return Report(cudaErrorInvalidValue);
  TrimPool(pool->device, bytes);
  return cudaSuccess;
}

// ---- Copies ----

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  return Copy2D(to, bytes, from, bytes, bytes, 1, kind, nullptr, true);
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return Copy2D(to, bytes, from, bytes, bytes, 1, kind, stream, false);
}

cudaError_t cudaMemcpy2D(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                         size_t height, cudaMemcpyKind kind) {
  return Copy2D(to, to_pitch, from, from_pitch, width, height, kind, nullptr, true);
}

cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
  return Copy2D(to, to_pitch, from, from_pitch, width, height, kind, stream, false);
}

cudaError_t cudaMemcpyPeerAsync(void* to, int to_device, const void* from, int from_device, size_t bytes,
                                cudaStream_t stream) {
  RETURN_IF_ERROR(ValidDevice(to_device));
  RETURN_IF_ERROR(ValidDevice(from_device));
  if (bytes > 0 && (DeviceOf(to) != to_device || DeviceOf(from) != from_device)) {
    return Report(cudaErrorInvalidValue);
  }
  return Copy2D(to, bytes, from, bytes, bytes, 1, cudaMemcpyDeviceToDevice, stream, false);
}

cudaError_t cudaMemcpyPeer(void* to, int to_device, const void* from, int from_device, size_t bytes) {
  return cudaMemcpyPeerAsync(to, to_device, from, from_device, bytes, nullptr);
}

cudaError_t cudaMemset(void* memory, int value, size_t bytes) {
  return Set2D(memory, bytes, value, bytes, 1, nullptr);
}

cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t stream) {
  return Set2D(memory, bytes, value, bytes, 1, stream);
}

cudaError_t cudaMemset2D(void* memory, size_t pitch, int value, size_t width, size_t height) {
  return Set2D(memory, pitch, value, width, height, nullptr);
}

cudaError_t cudaMemset2DAsync(void* memory, size_t pitch, int value, size_t width, size_t height,
                              cudaStream_t stream) {
  return Set2D(memory, pitch, value, width, height, stream);
}

// ---- Kernels ----

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  RETURN_IF_ERROR(NeedDevice());
  if (!kernel) return Report(cudaErrorInvalidDeviceFunction);
  const int most = attribute == cudaFuncAttributeMaxDynamicSharedMemorySize ? 227 << 10 : 100;
  return value <= most ? cudaSuccess : Report(cudaErrorInvalidValue);
}

cudaError_t cudaFuncSetCacheConfig(const void* kernel, cudaFuncCache) {
  RETURN_IF_ERROR(NeedDevice());
  return kernel ? cudaSuccess : Report(cudaErrorInvalidDeviceFunction);
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* kernel) {
  RETURN_IF_ERROR(NeedDevice());
  if (!attributes || !kernel) return Report(cudaErrorInvalidValue);
  *attributes = cudaFuncAttributes{};
  attributes->maxThreadsPerBlock = 1024;
  attributes->numRegs = 32;
  attributes->ptxVersion = attributes->binaryVersion = 90;
  attributes->maxDynamicSharedSizeBytes = 48 << 10;
  return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* kernel, int block_size,
                                                          size_t shared_bytes) {
  RETURN_IF_ERROR(NeedDevice());
  if (!blocks || !kernel || block_size <= 0 || block_size > 1024) return Report(cudaErrorInvalidValue);
  const size_t by_shared = shared_bytes == 0 ? 32 : (size_t{228} << 10) / (shared_bytes + 1024);
  *blocks = static_cast<int>(std::min<size_t>(by_shared, std::min(32, 2048 / block_size)));
  return cudaSuccess;
}
