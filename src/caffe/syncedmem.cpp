#include "caffe/syncedmem.hpp"

#include <cstdlib>
#include <cstring>

namespace caffe {

namespace {

constexpr size_t kAlignment = 64;

}  // namespace

void CaffeMallocHost(void** ptr, size_t size, bool* use_cuda) {
  *use_cuda = false;
  *ptr = nullptr;
  // A whole number of lines, at least one: an empty blob still has a valid pointer.
  CHECK_LE(size, SIZE_MAX - 2 * kAlignment) << "impossible allocation";
  const size_t rounded = (size / kAlignment + 1) * kAlignment;
  *ptr = std::aligned_alloc(kAlignment, rounded);
  CHECK(*ptr != nullptr) << "not enough memory: could not allocate " << size
                         << " bytes; use a smaller batch_size or input";
}

void CaffeFreeHost(void* ptr, bool) { std::free(ptr); }

SyncedMemory::SyncedMemory() = default;

SyncedMemory::SyncedMemory(size_t size) : size_(size) {}

SyncedMemory::~SyncedMemory() = default;

void SyncedMemory::to_cpu() {
  if (head_ != UNINITIALIZED) return;
  void* memory = nullptr;
  HostDeleter deleter;
  CaffeMallocHost(&memory, size_, &deleter.use_cuda);
  own_cpu_.reset(memory, deleter);
  std::memset(memory, 0, size_);
  cpu_ptr_ = memory;
  head_ = HEAD_AT_CPU;
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
  ++version_;
  head_ = HEAD_AT_CPU;
}

#ifdef CPU_ONLY

const void* SyncedMemory::gpu_data() { NO_GPU; }

void* SyncedMemory::mutable_gpu_data() { NO_GPU; }

void SyncedMemory::set_gpu_data(void*) { NO_GPU; }

#endif  // CPU_ONLY

}  // namespace caffe
