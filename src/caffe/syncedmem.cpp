#include "caffe/syncedmem.hpp"

#include <cstdlib>
#include <cstring>

#include "caffe/lowbit/huge_pages.hpp"
#include "caffe/util/gpu_memory.hpp"

namespace caffe {

namespace {

#ifndef CPU_ONLY

// Waits for what all threads have started on this GPU, then copies, and waits for the copy: which thread's
// kernels made the data is not known.
void CopyInOrder(void* to, const void* from, size_t size, cudaMemcpyKind kind) {
  CUDA_CHECK(cudaMemcpyAsync(to, from, size, kind, cudaStreamLegacy));
  CUDA_CHECK(cudaStreamSynchronize(cudaStreamLegacy));
}

// Gives memory back to the GPU that it is of, once what was started by any thread is done with it.
struct GpuDeleter {
  int device;
  void operator()(void* memory) const {
    const GpuDeviceGuard guard(device);
    GpuRelease(memory, cudaStreamLegacy);
  }
};

#endif  // !CPU_ONLY

}  // namespace

void CaffeMallocHost(void** ptr, size_t size, bool* use_cuda) {
  *use_cuda = false;
  *ptr = nullptr;
  // A whole number of lines, at least one: an empty blob still has a valid pointer.
  CHECK_LE(size, SIZE_MAX - 2 * lowbit::kCacheLine) << "impossible allocation";
  const size_t rounded = (size / lowbit::kCacheLine + 1) * lowbit::kCacheLine;
#ifndef CPU_ONLY
  if (Caffe::mode() == Caffe::GPU) {
    if (cudaMallocHost(ptr, rounded) == cudaSuccess) {
      *use_cuda = true;
      return;
    }
    // Not enough memory can be pinned: what is not is copied more slowly, but copied.
    cudaGetLastError();
  }
#endif
  CHECK(posix_memalign(ptr, lowbit::AlignmentFor(rounded), rounded) == 0)
      << "not enough memory: could not allocate " << size << " bytes; use a smaller batch_size or input";
  lowbit::PreferHugePages(*ptr, rounded);
}

void CaffeFreeHost(void* ptr, bool use_cuda) {
#ifndef CPU_ONLY
  if (use_cuda) {
    // Fails at the end of a program, when the driver has freed all.
    if (cudaFreeHost(ptr) != cudaSuccess) cudaGetLastError();
    return;
  }
#else
  (void)use_cuda;
#endif
  std::free(ptr);
}

SyncedMemory::SyncedMemory() = default;

SyncedMemory::SyncedMemory(size_t size) : size_(size) {}

SyncedMemory::~SyncedMemory() = default;

void SyncedMemory::AllocateCpu() {
  if (cpu_ptr_) return;
  void* memory = nullptr;
  HostDeleter deleter;
  CaffeMallocHost(&memory, size_, &deleter.use_cuda);
  own_cpu_.reset(memory, deleter);
  cpu_ptr_ = memory;
}

void SyncedMemory::to_cpu() {
  switch (head_) {
    case UNINITIALIZED:
      AllocateCpu();
      std::memset(cpu_ptr_, 0, size_);
      head_ = HEAD_AT_CPU;
      break;
    case HEAD_AT_GPU:
#ifndef CPU_ONLY
      AllocateCpu();
      if (size_ > 0) CopyInOrder(cpu_ptr_, gpu_ptr_, size_, cudaMemcpyDeviceToHost);
      head_ = SYNCED;
#endif
      break;
    case HEAD_AT_CPU:
    case SYNCED:
      break;
  }
}

const void* SyncedMemory::cpu_data() {
  to_cpu();
  return cpu_ptr_;
}

void* SyncedMemory::mutable_cpu_data() {
  to_cpu();
  ++version_;
  head_ = HEAD_AT_CPU;
  return cpu_ptr_;
}

void SyncedMemory::set_cpu_data(void* data, std::shared_ptr<void> owner) {
  CHECK(data) << "set_cpu_data needs memory to point to";
  own_cpu_ = std::move(owner);
  cpu_ptr_ = data;
  lent_cpu_ = true;
  if (lent_gpu_) {
    own_gpu_.reset();
    gpu_ptr_ = nullptr;
    lent_gpu_ = false;
  }
  ++version_;
  head_ = HEAD_AT_CPU;
}

#ifdef CPU_ONLY

const void* SyncedMemory::gpu_data() { NO_GPU; }

void* SyncedMemory::mutable_gpu_data() { NO_GPU; }

void SyncedMemory::set_gpu_data(void*, std::shared_ptr<void>) { NO_GPU; }

#else

void SyncedMemory::AllocateGpu() {
  if (gpu_ptr_) return;
  void* const memory = GpuAllocate(size_);
  own_gpu_.reset(memory, GpuDeleter{Caffe::device()});
  gpu_ptr_ = memory;
}

void SyncedMemory::to_gpu() {
  switch (head_) {
    case UNINITIALIZED:
      AllocateGpu();
      CUDA_CHECK(cudaMemsetAsync(gpu_ptr_, 0, size_, cudaStreamPerThread));
      head_ = HEAD_AT_GPU;
      break;
    case HEAD_AT_CPU:
      AllocateGpu();
      if (size_ > 0) CopyInOrder(gpu_ptr_, cpu_ptr_, size_, cudaMemcpyHostToDevice);
      head_ = SYNCED;
      break;
    case HEAD_AT_GPU:
    case SYNCED:
      break;
  }
}

const void* SyncedMemory::gpu_data() {
  to_gpu();
  return gpu_ptr_;
}

void* SyncedMemory::mutable_gpu_data() {
  to_gpu();
  ++version_;
  head_ = HEAD_AT_GPU;
  return gpu_ptr_;
}

void SyncedMemory::set_gpu_data(void* data, std::shared_ptr<void> owner) {
  CHECK(data) << "set_gpu_data needs memory to point to";
  own_gpu_ = std::move(owner);
  gpu_ptr_ = data;
  lent_gpu_ = true;
  if (lent_cpu_) {
    own_cpu_.reset();
    cpu_ptr_ = nullptr;
    lent_cpu_ = false;
  }
  ++version_;
  head_ = HEAD_AT_GPU;
}

void SyncedMemory::async_gpu_push(const cudaStream_t& stream) {
  CHECK(head_ == HEAD_AT_CPU) << "only what is newest on the host can be pushed to the GPU";
  AllocateGpu();
  CUDA_CHECK(cudaMemcpyAsync(gpu_ptr_, cpu_ptr_, size_, cudaMemcpyHostToDevice, stream));
  head_ = SYNCED;
}

#endif  // CPU_ONLY

}  // namespace caffe
