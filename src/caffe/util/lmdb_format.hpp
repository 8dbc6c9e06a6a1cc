#ifndef CAFFE_UTIL_LMDB_FORMAT_HPP_
#define CAFFE_UTIL_LMDB_FORMAT_HPP_

#include <cstdint>

namespace caffe {
namespace db {

/// What LMDB 0.9 writes to data.mdb on 64-bit little-endian machines (mdb.c of LMDB 0.9).
namespace lmdb_format {

constexpr uint32_t kMagic = 0xBEEFC0DE;
constexpr uint32_t kVersion = 1;
/// Pages 0 and 1 are the meta pages.
constexpr uint64_t kMetaPages = 2;
/// The root of an empty tree.
constexpr uint64_t kNoPage = ~uint64_t{0};
/// LMDB's cursors go no deeper.
constexpr int kMaxDepth = 32;

struct PageHeader {
  uint64_t number;
  uint16_t pad;
  uint16_t flags;
  /// Bytes up to the end of the node offsets (16 bits each), which follow the header.
  uint16_t lower;
  uint16_t upper;
};
static_assert(sizeof(PageHeader) == 16, "the layout of LMDB's pages");

enum PageFlags : uint16_t { kBranchPage = 0x01, kLeafPage = 0x02 };

/// Heads a node of a page; the key follows, and in a leaf the value.
struct NodeHeader {
  /// In a leaf the value's bytes, in a branch the lower 32 bits of the child's page number.
  uint16_t low;
  uint16_t high;
  /// In a branch the upper 16 bits of the page number.
  uint16_t flags;
  uint16_t key_bytes;
};
static_assert(sizeof(NodeHeader) == 8, "the layout of LMDB's nodes");

/// The value lies on pages of its own; the node has the number of the first.
constexpr uint16_t kOverflowValue = 0x01;

struct Tree {
  uint32_t pad;
  uint16_t flags;
  uint16_t depth;
  uint64_t branch_pages;
  uint64_t leaf_pages;
  uint64_t overflow_pages;
  uint64_t entries;
  uint64_t root;
};

/// Trees that sort several values below one key, which the records of Caffe never do.
constexpr uint16_t kTreesOfDuplicates = 0x04 | 0x10 | 0x20 | 0x40;

/// What follows the page header in each of the two meta pages.
struct Meta {
  uint32_t magic;
  uint32_t version;
  uint64_t address;
  uint64_t map_size;
  /// The first tree holds the free pages; its `pad` is the page size. The second holds the records.
  Tree trees[2];
  uint64_t last_page;
  uint64_t transaction;

  uint32_t page_size() const { return trees[0].pad; }
};
static_assert(sizeof(Meta) == 136, "the layout of LMDB's meta page");

}  // namespace lmdb_format
}  // namespace db
}  // namespace caffe

#endif  // CAFFE_UTIL_LMDB_FORMAT_HPP_
