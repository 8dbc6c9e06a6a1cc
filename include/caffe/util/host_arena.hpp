#ifndef CAFFE_UTIL_HOST_ARENA_HPP_
#define CAFFE_UTIL_HOST_ARENA_HPP_

#include <cstddef>
#include <memory>

namespace caffe {

/**
 * @brief Host memory that is handed out in pieces of any size, again and again.
 *
 * What comes back is joined with the free pieces beside it, so that small pieces make room for a large one.
 * Only what has been handed out before takes physical memory, and that stays until the arena and all pieces
 * are gone: another pass over the same sizes asks nothing of the system.
 */
class HostArena {
 public:
  HostArena();
  ~HostArena();

  /// Room for so many bytes, aligned to lines of the cache, whose values may be anything. It comes back when
  /// the last owner is gone, on whatever thread, and may outlive the arena. @throws Error where there is not
  /// enough memory.
  std::shared_ptr<void> Take(size_t bytes);

  /// The most that was handed out at a time, with the gaps between.
  size_t peak_bytes() const;

 private:
  class Ranges;
  std::shared_ptr<Ranges> ranges_;
};

}  // namespace caffe

#endif  // CAFFE_UTIL_HOST_ARENA_HPP_
