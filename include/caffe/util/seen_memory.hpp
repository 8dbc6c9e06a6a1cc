#ifndef CAFFE_UTIL_SEEN_MEMORY_HPP_
#define CAFFE_UTIL_SEEN_MEMORY_HPP_

#include <cstdint>
#include <memory>

#include "caffe/common.hpp"
#include "caffe/syncedmem.hpp"

namespace caffe {

/// Tells whether memory may hold something else than when it was last looked at, for whoever keeps what was
/// made of it.
class SeenMemory {
 public:
  /**
   * @brief Looks at memory whose data is about to be read on the host or on the GPU.
   *
   * @return false where it is the memory of the call before, and neither a pointer for writing was given out
   * since nor somebody else holds that side of it, who may write at any time.
   */
  bool IsNew(const shared_ptr<SyncedMemory>& memory, bool on_gpu) {
    const bool is_known = memory_.lock() == memory && version_ == memory->version();
    memory_ = memory;
    version_ = memory->version();
    return !is_known || (on_gpu ? memory->gpu_owner().use_count() != 1 : memory->is_held_by_others());
  }

 private:
  std::weak_ptr<SyncedMemory> memory_;
  uint64_t version_ = 0;
};

}  // namespace caffe

#endif  // CAFFE_UTIL_SEEN_MEMORY_HPP_
