#include "caffe/util/host_arena.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "caffe/common.hpp"
#include "caffe/lowbit/huge_pages.hpp"

namespace caffe {

namespace {

// Addresses cost nothing. Where the system does not let a process have so many, a range is as long as it must
// be.
constexpr size_t kRangeBytes = size_t{1} << 36;

size_t RoundedUp(size_t bytes) { return (bytes / lowbit::kCacheLine + 1) * lowbit::kCacheLine; }

char* Map(size_t bytes) {
  void* memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  lowbit::PreferHugePages(memory, bytes);
  return static_cast<char*>(memory);
}

}  // namespace

/// Ranges of addresses, and what is free in them.
class HostArena::Ranges {
 public:
  Ranges() = default;
  ~Ranges() {
    for (const auto& range : ranges_) munmap(range.begin, range.bytes);
  }

  char* Take(size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    // The smallest piece that is large enough; of equals, the first.
    const auto found = by_size_.lower_bound({bytes, nullptr});
    char* begin;
    if (found != by_size_.end()) {
      const size_t size = found->first;
      begin = found->second;
      Remove(begin, size);
      if (size > bytes) Insert(begin + bytes, size - bytes);
    } else {
      begin = Extend(bytes);
    }
    return begin;
  }

  void Give(char* begin, size_t bytes) noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    auto next = free_.upper_bound(begin);
    if (next != free_.begin()) {
      const auto [before, size] = *std::prev(next);
      if (before + size == begin) {
        Remove(before, size);
        begin = before;
        bytes += size;
      }
    }
    if (next != free_.end() && begin + bytes == next->first) {
      const auto [after, size] = *next;
      Remove(after, size);
      bytes += size;
    }
    Insert(begin, bytes);
  }

  size_t peak_bytes() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    size_t sum = 0;
    for (const auto& range : ranges_) sum += range.used;
    return sum;
  }

 private:
  // `used` bytes at the beginning have been handed out before.
  struct Range {
    char* begin;
    size_t bytes, used;
  };

  void Insert(char* begin, size_t size) {
    free_[begin] = size;
    by_size_.insert({size, begin});
  }
  void Remove(char* begin, size_t size) {
    free_.erase(begin);
    by_size_.erase({size, begin});
  }

  // Takes what was not handed out before, with the free piece that ends there.
  char* Extend(size_t bytes) {
    if (ranges_.empty() || Missing(ranges_.back(), bytes) > ranges_.back().bytes - ranges_.back().used) {
      size_t size = std::max(kRangeBytes, bytes);
      char* begin = Map(size);
      if (!begin) begin = Map(size = bytes);
      CHECK(begin) << "not enough memory: could not allocate " << bytes
                   << " bytes; use a smaller batch_size or input";
      ranges_.push_back({begin, size, 0});
    }
    Range& range = ranges_.back();
    const size_t missing = Missing(range, bytes);
    char* begin = range.begin + range.used + missing - bytes;
    if (missing < bytes) Remove(begin, bytes - missing);
    range.used += missing;
    return begin;
  }

  size_t Missing(const Range& range, size_t bytes) const {
    const char* end = range.begin + range.used;
    const auto after = free_.lower_bound(const_cast<char*>(end));
    if (after == free_.begin()) return bytes;
    const auto [last, size] = *std::prev(after);
    return last >= range.begin && last + size == end ? bytes - size : bytes;
  }

  mutable std::mutex mutex_;
  std::vector<Range> ranges_;
  std::map<char*, size_t> free_;
  std::set<std::pair<size_t, char*>> by_size_;

  DISABLE_COPY_AND_ASSIGN(Ranges);
};

HostArena::HostArena() : ranges_(std::make_shared<Ranges>()) {}

HostArena::~HostArena() = default;

std::shared_ptr<void> HostArena::Take(size_t bytes) {
  const size_t size = RoundedUp(bytes);
  char* begin = ranges_->Take(size);
  return {begin, [ranges = ranges_, size](void* memory) { ranges->Give(static_cast<char*>(memory), size); }};
}

size_t HostArena::peak_bytes() const { return ranges_->peak_bytes(); }

}  // namespace caffe
