#ifndef CAFFE_UTIL_DB_LEVELDB_HPP
#define CAFFE_UTIL_DB_LEVELDB_HPP

#ifdef USE_LEVELDB

#include <memory>
#include <string>

#include "caffe/util/db.hpp"

namespace leveldb {
class DB;
class Iterator;
class WriteBatch;
}  // namespace leveldb

namespace caffe {
namespace db {

class LevelDBCursor : public Cursor {
 public:
  /// Takes over the iterator; `db`, where given, stays open as long as it.
  explicit LevelDBCursor(leveldb::Iterator* iter, shared_ptr<leveldb::DB> db = nullptr);
  ~LevelDBCursor() override;
  void SeekToFirst() override;
  void Next() override;
  string key() override;
  string value() override;
  bool valid() override;

 private:
  void CheckStatus() const;

  shared_ptr<leveldb::DB> db_;
  std::unique_ptr<leveldb::Iterator> iter_;
};

class LevelDBTransaction : public Transaction {
 public:
  /// An `owner` of db keeps it open as long as the transaction.
  explicit LevelDBTransaction(leveldb::DB* db, shared_ptr<leveldb::DB> owner = nullptr);
  ~LevelDBTransaction() override;
  void Put(const string& key, const string& value) override;
  void Commit() override;

 private:
  leveldb::DB* db_;
  shared_ptr<leveldb::DB> owner_;
  std::unique_ptr<leveldb::WriteBatch> batch_;
};

/// A LevelDB. It needs a folder that can be written, even for reading, and one process at a time uses it.
class LevelDB : public DB {
 public:
  LevelDB();
  ~LevelDB() override;
  void Open(const string& source, Mode mode) override;
  void Close() override;
  LevelDBCursor* NewCursor() override;
  LevelDBTransaction* NewTransaction() override;

 private:
  shared_ptr<leveldb::DB> db_;
};

}  // namespace db
}  // namespace caffe

#endif  // USE_LEVELDB

#endif  // CAFFE_UTIL_DB_LEVELDB_HPP
