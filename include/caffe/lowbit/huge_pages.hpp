#ifndef CAFFE_LOWBIT_HUGE_PAGES_HPP_
#define CAFFE_LOWBIT_HUGE_PAGES_HPP_

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>

namespace caffe {
namespace lowbit {

/// A large page, as x86-64 and ARM with small pages of 4 KiB have them.
constexpr size_t kHugePage = size_t{2} << 20;

constexpr size_t kCacheLine = 64;

/// Where memory of a size is to begin: so that it has as many whole large pages as it can.
constexpr size_t AlignmentFor(size_t bytes) { return bytes >= kHugePage ? kHugePage : kCacheLine; }

/**
 * @brief Asks the system for large pages where whole ones lie in a range of memory, before that is touched.
 *
 * A processor finds the place of a large page with one look where it needs 512 for small ones, and in its
 * caches the parts of one do not push each other out, as those of small pages do by chance. By Linux's
 * default they are given only where they are asked for. The range never takes more memory than its bytes;
 * where the system has no large pages, nothing changes.
 */
inline void PreferHugePages([[maybe_unused]] void* begin, [[maybe_unused]] size_t bytes) {
#ifdef MADV_HUGEPAGE
  const uintptr_t at = reinterpret_cast<uintptr_t>(begin);
  const uintptr_t first = (at + kHugePage - 1) / kHugePage * kHugePage;
  const uintptr_t last = (at + bytes) / kHugePage * kHugePage;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
}

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_HUGE_PAGES_HPP_
