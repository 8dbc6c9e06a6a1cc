#ifndef CAFFE_UTIL_MEMORY_POOL_HPP_
#define CAFFE_UTIL_MEMORY_POOL_HPP_

#include <cstddef>
#include <map>
#include <utility>

#include "caffe/common.hpp"
#include "caffe/syncedmem.hpp"
#include "caffe/util/host_arena.hpp"

namespace caffe {

/// Memory that nobody needs for now, for whoever needs some next: on a CPU pieces of an arena, on a GPU
/// memory as it was taken.
class MemoryPool {
 public:
  /// What it holds may be anything.
  shared_ptr<SyncedMemory> Take(size_t bytes) {
    if (Caffe::mode() == Caffe::CPU) {
      auto memory = std::make_shared<SyncedMemory>(bytes);
      shared_ptr<void> piece = arena_.Take(bytes);
      void* const data = piece.get();
      memory->set_cpu_data(data, std::move(piece));
      return memory;
    }
    // The smallest that has so many bytes but not twice as many.
    const auto found = free_.lower_bound(bytes);
    if (found == free_.end() || found->first / 2 > bytes) {
      if (plans_) planned_bytes_ += bytes;
      return std::make_shared<SyncedMemory>(bytes);
    }
    const shared_ptr<SyncedMemory> memory = found->second;
    free_.erase(found);
    return memory;
  }

  /// Memory that somebody else holds, too, as a NumPy array over it does, is left to them; what was never
  /// touched is none yet, but where a pass is only planned.
  void Give(shared_ptr<SyncedMemory> memory) {
    if (Caffe::mode() == Caffe::CPU) return;
    if (!IsOnlyHere(memory) || (!plans_ && memory->head() == SyncedMemory::UNINITIALIZED)) return;
    const size_t bytes = memory->size();
    free_.emplace(bytes, std::move(memory));
  }

  void Clear() { free_.clear(); }

  /// Whether memory is taken and given without being touched, to find out how much a pass takes. It begins
  /// and ends with nothing here.
  void set_plans(bool value) {
    Clear();
    plans_ = value;
    planned_bytes_ = 0;
  }

  /// Of all that was ever taken at a time on the CPU; of a GPU's what is here, or all that a plan took.
  size_t bytes() const {
    if (plans_) return arena_.peak_bytes() + planned_bytes_;
    size_t sum = arena_.peak_bytes();
    for (const auto& item : free_) sum += item.first;
    return sum;
  }

  /// Whether the caller's pointer is the only way to the memory.
  static bool IsOnlyHere(const shared_ptr<SyncedMemory>& memory) {
    constexpr long kItself = 1;
    return memory.use_count() == kItself && memory->cpu_owner().use_count() <= kItself &&
           memory->gpu_owner().use_count() <= kItself;
  }

 private:
  HostArena arena_;
  std::multimap<size_t, shared_ptr<SyncedMemory>> free_;
  bool plans_ = false;
  size_t planned_bytes_ = 0;
};

}  // namespace caffe

#endif  // CAFFE_UTIL_MEMORY_POOL_HPP_
