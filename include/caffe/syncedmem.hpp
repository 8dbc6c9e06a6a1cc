#ifndef CAFFE_SYNCEDMEM_HPP_
#define CAFFE_SYNCEDMEM_HPP_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "caffe/common.hpp"

namespace caffe {

/// Allocates `size` bytes on the host, aligned for the widest vector instructions. `use_cuda` tells whether
/// the memory is pinned for a GPU. @throws Error naming the size where there is not enough memory.
void CaffeMallocHost(void** ptr, size_t size, bool* use_cuda);
void CaffeFreeHost(void* ptr, bool use_cuda);

/**
 * @brief Memory that lives on the host and on a GPU, allocated and copied when it is needed.
 *
 * The head says where the newest data is. Reading on one side copies from the other if that is newer;
 * a mutable pointer makes its side the newest. Fresh memory reads as zeros.
 */
class SyncedMemory {
 public:
  SyncedMemory();
  explicit SyncedMemory(size_t size);
  ~SyncedMemory();

  const void* cpu_data();
  /// Uses the caller's memory from now on, which the caller keeps alive. Memory that was set for the other
  /// side is given up, for what is copied there is not what its owner had.
  void set_cpu_data(void* data) { set_cpu_data(data, nullptr); }
  /// The same for memory that `owner` keeps alive.
  void set_cpu_data(void* data, std::shared_ptr<void> owner);
  /// Keeps the host memory alive for as long as it is held, whatever becomes of this object. Null where only
  /// the caller of set_cpu_data does, or nothing was touched yet.
  const std::shared_ptr<void>& cpu_owner() const { return own_cpu_; }
  /**
   * @brief Counts what may have changed the data: calls for a mutable pointer and for other memory.
   *
   * For whoever keeps something that was made of the data. A pointer is for writing at once, not to be kept
   * for later: that the counter does not see. Memory that others hold (is_held_by_others) may change at any
   * time.
   */
  uint64_t version() const { return version_; }
  /// Whether the host memory is also held by somebody who may write to it, as a NumPy array over it does, or
  /// the caller of set_cpu_data.
  bool is_held_by_others() const { return own_cpu_.use_count() != 1; }
  const void* gpu_data();
  /// Uses the caller's memory on the calling thread's GPU from now on, which the caller keeps alive.
  void set_gpu_data(void* data) { set_gpu_data(data, nullptr); }
  /// The same for memory that `owner` keeps alive.
  void set_gpu_data(void* data, std::shared_ptr<void> owner);
  /// As cpu_owner, for the memory on the GPU.
  const std::shared_ptr<void>& gpu_owner() const { return own_gpu_; }
  void* mutable_cpu_data();
  void* mutable_gpu_data();
#ifndef CPU_ONLY
  /// Starts to copy what is newest on the host to the GPU; the copy is done when the stream is, and the
  /// host's side is not to be written to before.
  void async_gpu_push(const cudaStream_t& stream);
#endif

  enum SyncedHead { UNINITIALIZED, HEAD_AT_CPU, HEAD_AT_GPU, SYNCED };
  SyncedHead head() const { return head_; }
  /// In bytes.
  size_t size() const { return size_; }

 private:
  void to_cpu();
  void to_gpu();
  void AllocateCpu();
  void AllocateGpu();

  struct HostDeleter {
    HostDeleter() : use_cuda(false) {}
    void operator()(void* ptr) const { CaffeFreeHost(ptr, use_cuda); }
    bool use_cuda;
  };

  std::shared_ptr<void> own_cpu_;
  std::shared_ptr<void> own_gpu_;
  void* cpu_ptr_ = nullptr;
  void* gpu_ptr_ = nullptr;
  // Whether a side's memory was set by set_cpu_data or set_gpu_data.
  bool lent_cpu_ = false;
  bool lent_gpu_ = false;
  size_t size_ = 0;
  uint64_t version_ = 0;
  SyncedHead head_ = UNINITIALIZED;

  DISABLE_COPY_AND_ASSIGN(SyncedMemory);
};

}  // namespace caffe

#endif  // CAFFE_SYNCEDMEM_HPP_
