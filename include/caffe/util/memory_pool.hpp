#ifndef CAFFE_UTIL_MEMORY_POOL_HPP_
#define CAFFE_UTIL_MEMORY_POOL_HPP_

#include <cstddef>
#include <map>

#include "caffe/common.hpp"
#include "caffe/syncedmem.hpp"

namespace caffe {

/// Memory that nobody needs for now, for whoever needs some next.
class MemoryPool {
 public:
  /// The smallest that has so many bytes but not twice as many, or new memory. What it holds may be anything.
  shared_ptr<SyncedMemory> Take(size_t bytes) {
    const auto found = free_.lower_bound(bytes);
    if (found == free_.end() || found->first / 2 > bytes) return std::make_shared<SyncedMemory>(bytes);
    const shared_ptr<SyncedMemory> memory = found->second;
    free_.erase(found);
    return memory;
  }

  /// Memory that somebody else holds, too, as a NumPy array over it does, is left to them; what was never
  /// touched is none yet.
  void Give(shared_ptr<SyncedMemory> memory) {
    if (!IsOnlyHere(memory) || memory->head() == SyncedMemory::UNINITIALIZED) return;
    const size_t bytes = memory->size();
    free_.emplace(bytes, std::move(memory));
  }

  void Clear() { free_.clear(); }

  /// Of all memory that is here.
  size_t bytes() const {
    size_t sum = 0;
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
  std::multimap<size_t, shared_ptr<SyncedMemory>> free_;
};

}  // namespace caffe

#endif  // CAFFE_UTIL_MEMORY_POOL_HPP_
