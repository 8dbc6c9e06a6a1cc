#include "caffe/util/gpu_memory.hpp"

#ifndef CPU_ONLY

#include <atomic>
#include <cstdint>

namespace caffe {

namespace {

cudaMemPool_t PoolOf(int device) {
  cudaMemPool_t pool = nullptr;
  CUDA_CHECK(cudaDeviceGetDefaultMemPool(&pool, device));
  return pool;
}

// Sets a device's pool to keep what is given back to it.
void LetPoolKeep(int device) {
  constexpr int kDevices = 64;
  static std::atomic<bool> is_set[kDevices] = {};
  if (device < kDevices && is_set[device]) return;
  uint64_t everything = UINT64_MAX;
  CUDA_CHECK(cudaMemPoolSetAttribute(PoolOf(device), cudaMemPoolAttrReleaseThreshold, &everything));
  if (device < kDevices) is_set[device] = true;
}

uint64_t PoolAttribute(cudaMemPoolAttr attribute) {
  uint64_t value = 0;
  CUDA_CHECK(cudaMemPoolGetAttribute(PoolOf(Caffe::device()), attribute, &value));
  return value;
}

}  // namespace

void* GpuAllocate(size_t bytes) {
  const int device = Caffe::device();
  LetPoolKeep(device);
  void* memory = nullptr;
  // An empty blob has a valid pointer too.
  const size_t least = 16;
  const cudaError_t status = cudaMallocAsync(&memory, bytes < least ? least : bytes, cudaStreamPerThread);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    const GpuMemoryRoom room = GetGpuMemoryRoom();
    ostringstream text;
    text << "GPU " << device << " has not enough memory: " << bytes << " bytes were asked for, " << room.free
         << " of " << room.total << " are free, " << room.kept
         << " of these in what was given back before, maybe in pieces; use a smaller batch_size or input";
    throw GpuMemoryError(text.str());
  }
  CUDA_CHECK(status);
  return memory;
}

void GpuRelease(void* memory, cudaStream_t after) noexcept {
  // Fails at the end of a program, when the driver has freed all.
  if (cudaFreeAsync(memory, after) != cudaSuccess) cudaGetLastError();
}

GpuMemoryRoom GetGpuMemoryRoom() {
  GpuMemoryRoom room = {};
  CUDA_CHECK(cudaMemGetInfo(&room.free, &room.total));
  room.kept = static_cast<size_t>(PoolAttribute(cudaMemPoolAttrReservedMemCurrent) -
                                  PoolAttribute(cudaMemPoolAttrUsedMemCurrent));
  // To others it is not free.
  room.free += room.kept;
  return room;
}

GpuMemoryUse GetGpuMemoryUse() {
  return {static_cast<size_t>(PoolAttribute(cudaMemPoolAttrUsedMemCurrent)),
          static_cast<size_t>(PoolAttribute(cudaMemPoolAttrUsedMemHigh))};
}

void ResetGpuPeakMemory() {
  uint64_t zero = 0;
  CUDA_CHECK(cudaMemPoolSetAttribute(PoolOf(Caffe::device()), cudaMemPoolAttrUsedMemHigh, &zero));
}

void GpuFollowAllThreads() {
  // What is put into the legacy stream waits for the streams of all threads, and they for it.
  cudaEvent_t event = nullptr;
  CUDA_CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  const cudaError_t recorded = cudaEventRecord(event, cudaStreamLegacy);
  // Destroyed only when it has passed.
  CUDA_CHECK(cudaEventDestroy(event));
  CUDA_CHECK(recorded);
}

GpuDeviceGuard::GpuDeviceGuard(int device) noexcept {
  int before = -1;
  if (device < 0 || cudaGetDevice(&before) != cudaSuccess || before == device) return;
  if (cudaSetDevice(device) == cudaSuccess) before_ = before;
}

GpuDeviceGuard::~GpuDeviceGuard() {
  if (before_ >= 0) cudaSetDevice(before_);
}

}  // namespace caffe

#endif  // !CPU_ONLY
