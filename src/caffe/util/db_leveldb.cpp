#include "caffe/util/db_leveldb.hpp"

#ifdef USE_LEVELDB

#include <leveldb/db.h>
#include <leveldb/write_batch.h>
#include <sys/stat.h>

#include <string>
#include <utility>

#include "caffe/util/fork.hpp"
#include "caffe/util/open_once.hpp"

namespace caffe {
namespace db {

namespace {

// LevelDB locks its folder against a second opening, be it by the same process. Never destroyed: a DB in a
// static variable may close later than this would go.
typedef OpenOnce<std::pair<dev_t, ino_t>, leveldb::DB> OpenDatabases;

[[noreturn]] void FailToOpen(const string& source, const string& reason) {
  throw Error("cannot open the LevelDB '" + source + "': " + reason, "", "", source);
}

std::unique_ptr<leveldb::DB> OpenFolder(const string& source, Mode mode) {
  leveldb::Options options;
  options.block_size = 65536;
  options.write_buffer_size = 268435456;
  options.max_open_files = 100;
  options.error_if_exists = mode == NEW;
  options.create_if_missing = mode != READ;
  leveldb::DB* opened = nullptr;
  const leveldb::Status status = leveldb::DB::Open(options, source, &opened);
  if (!status.ok()) FailToOpen(source, status.ToString());
  return std::unique_ptr<leveldb::DB>(opened);
}

}  // namespace

LevelDB::LevelDB() = default;
LevelDB::~LevelDB() = default;

void LevelDB::Open(const string& source, Mode mode) {
  Close();
  struct stat file;
  if (stat((source + "/CURRENT").c_str(), &file) != 0) {
    if (mode == READ) {
      FailToOpen(source,
                 stat((source + "/data.mdb").c_str(), &file) == 0
                     ? "it is an LMDB: set 'backend: LMDB' (without a backend, data_param means LevelDB)"
                     : "there is no such folder, or it holds no LevelDB. Check 'source'");
    }
    // LevelDB makes the folder when it opens it, but what is open is told by its inode.
    mkdir(source.c_str(), 0755);
  } else if (mode == NEW) {
    FailToOpen(source, "it exists already; remove it, or choose another name");
  }
  struct stat folder;
  if (stat(source.c_str(), &folder) != 0) FailToOpen(source, "its folder cannot be made");
  db_ = OfThisProcess<OpenDatabases>().Get({folder.st_dev, folder.st_ino},
                                           [&] { return OpenFolder(source, mode); });
  LOG(INFO) << "Opened leveldb " << source;
}

void LevelDB::Close() { db_.reset(); }

LevelDBCursor* LevelDB::NewCursor() {
  CHECK(db_) << "the LevelDB is not open";
  return new LevelDBCursor(db_->NewIterator(leveldb::ReadOptions()), db_);
}

LevelDBTransaction* LevelDB::NewTransaction() {
  CHECK(db_) << "the LevelDB is not open";
  return new LevelDBTransaction(db_.get(), db_);
}

LevelDBCursor::LevelDBCursor(leveldb::Iterator* iter, shared_ptr<leveldb::DB> db)
    : db_(std::move(db)), iter_(iter) {
  SeekToFirst();
}

LevelDBCursor::~LevelDBCursor() = default;

void LevelDBCursor::CheckStatus() const {
  LOG_IF(FATAL, !iter_->status().ok()) << "cannot read the LevelDB: " << iter_->status().ToString();
}

void LevelDBCursor::SeekToFirst() {
  iter_->SeekToFirst();
  CheckStatus();
}

void LevelDBCursor::Next() {
  iter_->Next();
  CheckStatus();
}

string LevelDBCursor::key() { return iter_->key().ToString(); }
string LevelDBCursor::value() { return iter_->value().ToString(); }
bool LevelDBCursor::valid() { return iter_->Valid(); }

LevelDBTransaction::LevelDBTransaction(leveldb::DB* db, shared_ptr<leveldb::DB> owner)
    : db_(CHECK_NOTNULL(db)), owner_(std::move(owner)), batch_(std::make_unique<leveldb::WriteBatch>()) {}

LevelDBTransaction::~LevelDBTransaction() = default;

void LevelDBTransaction::Put(const string& key, const string& value) { batch_->Put(key, value); }

void LevelDBTransaction::Commit() {
  leveldb::WriteOptions options;
  options.sync = true;
  const leveldb::Status status = db_->Write(options, batch_.get());
  LOG_IF(FATAL, !status.ok()) << "cannot write to the LevelDB: " << status.ToString();
  batch_->Clear();
}

}  // namespace db
}  // namespace caffe

#endif  // USE_LEVELDB
