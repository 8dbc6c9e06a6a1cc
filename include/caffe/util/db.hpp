#ifndef CAFFE_UTIL_DB_HPP
#define CAFFE_UTIL_DB_HPP

#include <string>

#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {
namespace db {

/// READ: an existing database, which is not changed. WRITE: adds to one, or to a new one. NEW: a new one.
enum Mode { READ, WRITE, NEW };

/// Goes through the records of a database in the order of their keys. A new cursor is at the first one.
class Cursor {
 public:
  Cursor() {}
  virtual ~Cursor() {}
  virtual void SeekToFirst() = 0;
  virtual void Next() = 0;
  /// The record the cursor is at; only while valid().
  virtual string key() = 0;
  virtual string value() = 0;
  /// False after the last record, and in an empty database.
  virtual bool valid() = 0;

  DISABLE_COPY_AND_ASSIGN(Cursor);
};

/// Collects records; Commit writes them, all or none. What is not committed is dropped.
class Transaction {
 public:
  Transaction() {}
  virtual ~Transaction() {}
  /// Replaces the record of that key, if there is one.
  virtual void Put(const string& key, const string& value) = 0;
  virtual void Commit() = 0;

  DISABLE_COPY_AND_ASSIGN(Transaction);
};

/**
 * @brief A folder of records, each a key and a value.
 *
 * A database that is open already in this process is shared, so that a training and a test net can read the
 * same one. Cursors and transactions may outlive the DB that made them. Errors name the folder.
 */
class DB {
 public:
  DB() {}
  virtual ~DB() {}
  virtual void Open(const string& source, Mode mode) = 0;
  virtual void Close() = 0;
  /// The caller owns the cursor.
  virtual Cursor* NewCursor() = 0;
  /// The caller owns the transaction.
  virtual Transaction* NewTransaction() = 0;

  DISABLE_COPY_AND_ASSIGN(DB);
};

/// A closed database, which the caller owns. @throws Error where this build lacks the backend.
DB* GetDB(DataParameter::DB backend);
/// The same for "lmdb" and "leveldb".
DB* GetDB(const string& backend);

}  // namespace db
}  // namespace caffe

#endif  // CAFFE_UTIL_DB_HPP
