#ifndef CAFFE_UTIL_DB_LMDB_HPP
#define CAFFE_UTIL_DB_LMDB_HPP

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "caffe/util/db.hpp"

struct MDB_cursor;
struct MDB_env;
struct MDB_txn;

namespace caffe {
namespace db {

class LMDBEnvironment;
class LMDBPageCheck;

/// Throws the Error of a call of LMDB that did not return 0.
void MDB_CHECK(int mdb_status);

class LMDBCursor : public Cursor {
 public:
  /// Takes over the transaction and the cursor; `environment`, where given, stays open as long as they.
  LMDBCursor(MDB_txn* mdb_txn, MDB_cursor* mdb_cursor, shared_ptr<LMDBEnvironment> environment = nullptr);
  ~LMDBCursor() override;
  void SeekToFirst() override;
  void Next() override;
  string key() override { return string(key_); }
  string value() override { return string(value_); }
  bool valid() override { return valid_; }

 private:
  void Seek(int operation);
  void Release();

  MDB_txn* mdb_txn_;
  MDB_cursor* mdb_cursor_;
  shared_ptr<LMDBEnvironment> environment_;
  /// One record ahead of the cursor, before each step.
  std::unique_ptr<LMDBPageCheck> page_check_;
  /// In the database's memory, until the cursor moves on.
  std::string_view key_;
  std::string_view value_;
  bool valid_ = false;
};

/// The records wait in memory until Commit, so that they can be written again after the map has grown.
class LMDBTransaction : public Transaction {
 public:
  /// An `environment` that belongs to mdb_env stays open as long as the transaction.
  explicit LMDBTransaction(MDB_env* mdb_env, shared_ptr<LMDBEnvironment> environment = nullptr);
  void Put(const string& key, const string& value) override;
  void Commit() override;

 private:
  MDB_env* mdb_env_;
  shared_ptr<LMDBEnvironment> environment_;
  vector<std::pair<string, string>> records_;
};

/// An LMDB: a folder with data.mdb. Reading works in folders that cannot be written.
class LMDB : public DB {
 public:
  LMDB() {}
  ~LMDB() override { Close(); }
  void Open(const string& source, Mode mode) override;
  void Close() override { environment_.reset(); }
  LMDBCursor* NewCursor() override;
  LMDBTransaction* NewTransaction() override;

 private:
  shared_ptr<LMDBEnvironment> environment_;
};

}  // namespace db
}  // namespace caffe

#endif  // CAFFE_UTIL_DB_LMDB_HPP
