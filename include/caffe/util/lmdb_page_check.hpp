#ifndef CAFFE_UTIL_LMDB_PAGE_CHECK_HPP_
#define CAFFE_UTIL_LMDB_PAGE_CHECK_HPP_

#include <cstdint>
#include <string>

#include "caffe/common.hpp"

struct MDB_txn;

namespace caffe {
namespace db {

/**
 * @brief Goes through the pages of an LMDB ahead of a cursor, and checks each before LMDB follows it.
 *
 * LMDB trusts its file: a damaged page makes it read outside of the map or fail an assertion, and either
 * kills the process. Here the page is read with the file's descriptor and checked, so that damage is an
 * Error. Pages are checked as the cursor comes to them, because a large database takes long to read.
 *
 * Values are not checked but for lying within the file.
 */
class LMDBPageCheck {
 public:
  /// Checks the snapshot that `txn`, a reading transaction, sees.
  explicit LMDBPageCheck(MDB_txn* txn);

  /// Checks what LMDB reads on the way to the first record.
  /// @throws Error naming the database and the page. So does Next.
  void First();
  /// Checks what LMDB reads on the way to the record after the last one checked.
  void Next();

 private:
  struct Branch {
    vector<uint64_t> children;
    size_t next = 0;
  };

  [[noreturn]] void Fail(const string& what) const;
  [[noreturn]] void FailAt(uint64_t page, const string& what) const;
  /// Reading a mapped page that the file has lost would kill the process.
  void CheckLength() const;
  /// Reads `count` bytes at `offset`.
  void Read(uint64_t offset, size_t count, void* to) const;
  /// Reads a page of the tree, and checks its head. Returns the number of its nodes.
  int ReadPage(uint64_t number, uint16_t flags, int least_nodes);
  /// The place in page_ of a node's header, which lies within the page with its key.
  size_t NodeAt(uint64_t number, int node) const;
  void CheckNumber(uint64_t from_page, uint64_t number, uint64_t pages) const;
  Branch ReadBranch(uint64_t number);
  /// Returns the number of the leaf's records.
  int ReadLeaf(uint64_t number);
  /// Goes down to the first leaf below a page.
  void Descend(uint64_t number);

  string folder_;
  int descriptor_;
  size_t page_size_;
  uint64_t last_page_;
  uint64_t root_;
  size_t depth_;
  /// The page at hand.
  vector<char> page_;
  /// From the root down to the leaf, without it.
  vector<Branch> branches_;
  /// Records of the leaf from the one last checked on.
  int records_left_ = 0;
  /// Leaves since the first.
  uint64_t leaves_ = 0;
};

}  // namespace db
}  // namespace caffe

#endif  // CAFFE_UTIL_LMDB_PAGE_CHECK_HPP_
