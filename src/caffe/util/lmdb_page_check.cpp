#include "caffe/util/lmdb_page_check.hpp"

#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

#include "lmdb_format.hpp"

namespace caffe {
namespace db {

using lmdb_format::Meta;
using lmdb_format::NodeHeader;
using lmdb_format::PageHeader;
using lmdb_format::Tree;

namespace {

/// What lies at a place of a page, where it may be unaligned.
template <typename T>
T At(const vector<char>& page, size_t place) {
  T value;
  std::memcpy(&value, page.data() + place, sizeof(value));
  return value;
}

}  // namespace

LMDBPageCheck::LMDBPageCheck(MDB_txn* txn) {
  MDB_env* env = mdb_txn_env(txn);
  const char* folder;
  CHECK_EQ(mdb_env_get_path(env, &folder), MDB_SUCCESS);
  folder_ = folder;
  CHECK_EQ(mdb_env_get_fd(env, &descriptor_), MDB_SUCCESS);
  MDB_stat stat;
  CHECK_EQ(mdb_env_stat(env, &stat), MDB_SUCCESS);
  page_size_ = stat.ms_psize;
  page_.resize(page_size_);

  // Transactions write the two meta pages in turn.
  const uint64_t transaction = mdb_txn_id(txn), meta_page = transaction % 2;
  Meta meta;
  Read(meta_page * page_size_ + sizeof(PageHeader), sizeof(meta), &meta);
  if (meta.magic != lmdb_format::kMagic || meta.transaction != transaction) {
    Fail("its meta pages contradict each other: it is damaged, or a program is writing to it");
  }
  const Tree& records = meta.trees[1];
  if (records.flags & lmdb_format::kTreesOfDuplicates) Fail("it may have several values of one key");
  last_page_ = meta.last_page;
  root_ = records.root;
  depth_ = records.depth;
  if (root_ == lmdb_format::kNoPage) return;
  CheckNumber(meta_page, root_, 1);
  if (depth_ < 1 || depth_ > lmdb_format::kMaxDepth) {
    FailAt(meta_page, "tells a depth of " + std::to_string(depth_));
  }
}

void LMDBPageCheck::Fail(const string& what) const {
  throw Error("cannot read the LMDB '" + folder_ + "': " + what + ". Copy or make the database again", "", "",
              folder_);
}

void LMDBPageCheck::FailAt(uint64_t page, const string& what) const {
  Fail("data.mdb is damaged: page " + std::to_string(page) + " " + what);
}

void LMDBPageCheck::Read(uint64_t offset, size_t count, void* to) const {
  ssize_t got;
  do {
    got = pread(descriptor_, to, count, static_cast<off_t>(offset));
  } while (got < 0 && errno == EINTR);
  if (got < 0) Fail("data.mdb: " + std::generic_category().message(errno));
  if (static_cast<size_t>(got) != count) {
    Fail("data.mdb is cut short: it ends before byte " + std::to_string(offset + count));
  }
}

void LMDBPageCheck::CheckNumber(uint64_t from_page, uint64_t number, uint64_t pages) const {
  if (number >= lmdb_format::kMetaPages && number <= last_page_ && pages <= last_page_ - number + 1) return;
  FailAt(from_page, "refers to page " + std::to_string(number) + ", which is not one of the records'");
}

int LMDBPageCheck::ReadPage(uint64_t number, uint16_t flags, int least_nodes) {
  Read(number * page_size_, page_size_, page_.data());
  const PageHeader header = At<PageHeader>(page_, 0);
  const size_t nodes_end = header.lower;
  if (header.number != number || header.flags != flags || nodes_end < sizeof(header) ||
      nodes_end > page_size_) {
    FailAt(number, flags == lmdb_format::kLeafPage ? "is not a leaf" : "is not a branch");
  }
  const int nodes = static_cast<int>((nodes_end - sizeof(header)) / sizeof(uint16_t));
  if (nodes < least_nodes) FailAt(number, "has " + std::to_string(nodes) + " nodes");
  return nodes;
}

size_t LMDBPageCheck::NodeAt(uint64_t number, int node) const {
  const size_t place = At<uint16_t>(page_, sizeof(PageHeader) + node * sizeof(uint16_t));
  if (place + sizeof(NodeHeader) > page_size_ ||
      place + sizeof(NodeHeader) + At<NodeHeader>(page_, place).key_bytes > page_size_) {
    FailAt(number, "has node " + std::to_string(node) + " outside of it");
  }
  return place;
}

LMDBPageCheck::Branch LMDBPageCheck::ReadBranch(uint64_t number) {
  // A branch of one child is none, and LMDB asserts it.
  const int nodes = ReadPage(number, lmdb_format::kBranchPage, 2);
  Branch branch;
  for (int i = 0; i < nodes; ++i) {
    const NodeHeader node = At<NodeHeader>(page_, NodeAt(number, i));
    branch.children.push_back(node.low | uint64_t{node.high} << 16 | uint64_t{node.flags} << 32);
    CheckNumber(number, branch.children.back(), 1);
  }
  return branch;
}

int LMDBPageCheck::ReadLeaf(uint64_t number) {
  const int nodes = ReadPage(number, lmdb_format::kLeafPage, 1);
  for (int i = 0; i < nodes; ++i) {
    const size_t place = NodeAt(number, i);
    const NodeHeader node = At<NodeHeader>(page_, place);
    const size_t value_place = place + sizeof(node) + node.key_bytes;
    const size_t value_bytes = node.low | size_t{node.high} << 16;
    const bool overflows = node.flags == lmdb_format::kOverflowValue;
    if ((node.flags != 0 && !overflows) ||
        value_place + (overflows ? sizeof(uint64_t) : value_bytes) > page_size_) {
      FailAt(number, "has a damaged record " + std::to_string(i));
    }
    if (overflows) {
      CheckNumber(number, At<uint64_t>(page_, value_place),
                  (sizeof(PageHeader) + value_bytes + page_size_ - 1) / page_size_);
    }
  }
  return nodes;
}

void LMDBPageCheck::Descend(uint64_t number) {
  if (++leaves_ > last_page_) Fail("data.mdb is damaged: its tree has the same pages again and again");
  while (branches_.size() + 1 < depth_) {
    branches_.push_back(ReadBranch(number));
    number = branches_.back().children[branches_.back().next++];
  }
  records_left_ = ReadLeaf(number);
}

void LMDBPageCheck::CheckLength() const {
  struct stat file;
  if (fstat(descriptor_, &file) != 0) Fail("data.mdb: " + std::generic_category().message(errno));
  const uint64_t needed = (last_page_ + 1) * page_size_;
  if (static_cast<uint64_t>(file.st_size) < needed) {
    Fail("data.mdb was cut short while it was open: it has " + std::to_string(file.st_size) + " bytes of " +
         std::to_string(needed));
  }
}

void LMDBPageCheck::First() {
  CheckLength();
  branches_.clear();
  records_left_ = 0;
  leaves_ = 0;
  if (root_ != lmdb_format::kNoPage) Descend(root_);
}

void LMDBPageCheck::Next() {
  CheckLength();
  if (records_left_ > 1) {
    --records_left_;
    return;
  }
  while (!branches_.empty() && branches_.back().next == branches_.back().children.size())
    branches_.pop_back();
  if (!branches_.empty()) Descend(branches_.back().children[branches_.back().next++]);
}

}  // namespace db
}  // namespace caffe
