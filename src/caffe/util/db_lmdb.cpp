#include "caffe/util/db_lmdb.hpp"

#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>

#include "caffe/util/fork.hpp"
#include "caffe/util/lmdb_data_file.hpp"
#include "caffe/util/lmdb_page_check.hpp"
#include "caffe/util/open_once.hpp"

namespace caffe {
namespace db {

namespace {

constexpr size_t kFirstMapBytes = size_t{1} << 26;

struct CloseEnvironment {
  void operator()(MDB_env* env) const { mdb_env_close(env); }
};
typedef std::unique_ptr<MDB_env, CloseEnvironment> EnvironmentHandle;

struct AbortTransaction {
  void operator()(MDB_txn* txn) const { mdb_txn_abort(txn); }
};
typedef std::unique_ptr<MDB_txn, AbortTransaction> TransactionHandle;

/// Writes the records in one transaction; LMDB's status.
int TryWrite(MDB_env* env, const vector<std::pair<string, string>>& records) {
  MDB_txn* begun;
  int status = mdb_txn_begin(env, nullptr, 0, &begun);
  if (status != MDB_SUCCESS) return status;
  TransactionHandle txn(begun);
  MDB_dbi dbi;
  status = mdb_dbi_open(txn.get(), nullptr, 0, &dbi);
  for (size_t i = 0; status == MDB_SUCCESS && i < records.size(); ++i) {
    MDB_val key{records[i].first.size(), const_cast<char*>(records[i].first.data())};
    MDB_val value{records[i].second.size(), const_cast<char*>(records[i].second.data())};
    status = mdb_put(txn.get(), dbi, &key, &value, 0);
  }
  return status == MDB_SUCCESS ? mdb_txn_commit(txn.release()) : status;
}

}  // namespace

void MDB_CHECK(int mdb_status) { CHECK_EQ(mdb_status, MDB_SUCCESS) << mdb_strerror(mdb_status); }

/// An open LMDB. It counts its readers, because the map can be made larger only while there is none.
class LMDBEnvironment {
 public:
  LMDBEnvironment(const string& folder, Mode mode) : folder_(folder), writable_(mode != READ) {
    unsigned int flags = MDB_NOTLS | (writable_ ? 0 : MDB_RDONLY);
    int status = Open(flags);
    // Where the lock file cannot be made nobody else can write either, so that readers need no lock.
    if (!writable_ && (status == EACCES || status == EPERM || status == EROFS)) {
      status = Open(flags | MDB_NOLOCK);
    }
    if (status != MDB_SUCCESS) Fail("cannot open", status);
  }

  MDB_env* get() const { return env_.get(); }
  bool writable() const { return writable_; }
  const string& folder() const { return folder_; }

  MDB_txn* BeginRead() {
    const std::lock_guard<std::mutex> lock(mutex_);
    MDB_txn* txn;
    int status = mdb_txn_begin(env_.get(), nullptr, MDB_RDONLY, &txn);
    if (status == MDB_MAP_RESIZED && readers_ == 0) {
      SetMapSize(0);
      status = mdb_txn_begin(env_.get(), nullptr, MDB_RDONLY, &txn);
    }
    if (status == MDB_READERS_FULL) {
      // Processes that ended without closing have kept their places.
      mdb_reader_check(env_.get(), nullptr);
      status = mdb_txn_begin(env_.get(), nullptr, MDB_RDONLY, &txn);
    }
    if (status != MDB_SUCCESS) Fail("cannot read", status);
    ++readers_;
    return txn;
  }

  void EndRead(MDB_txn* txn) {
    // The place in the table of readers, which processes share, is that of the process that this one was
    // forked from.
    if (process_ != getpid()) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    mdb_txn_abort(txn);
    --readers_;
  }

  void Write(const vector<std::pair<string, string>>& records) {
    if (!writable_) FailBecause("cannot write to", "it was opened for reading");
    const std::lock_guard<std::mutex> lock(mutex_);
    int status = TryWrite(env_.get(), records);
    while (status == MDB_MAP_FULL || status == MDB_MAP_RESIZED) {
      if (readers_ > 0) {
        FailBecause("cannot write to",
                    "it has to grow, which is not possible while a cursor of this process reads it");
      }
      MDB_envinfo info;
      MDB_CHECK(mdb_env_info(env_.get(), &info));
      SetMapSize(status == MDB_MAP_FULL ? info.me_mapsize * 2 : 0);
      status = TryWrite(env_.get(), records);
    }
    if (status != MDB_SUCCESS) Fail("cannot write to", status);
  }

  [[noreturn]] void Fail(const string& cannot, int status) const {
    FailBecause(cannot, mdb_strerror(status));
  }

  [[noreturn]] void FailBecause(const string& cannot, const string& reason) const {
    throw Error(cannot + " the LMDB '" + folder_ + "': " + reason, "", "", folder_);
  }

 private:
  int Open(unsigned int flags) {
    MDB_env* made;
    int status = mdb_env_create(&made);
    if (status != MDB_SUCCESS) return status;
    env_.reset(made);
    // Of what exists already LMDB takes at least the size it had.
    if (writable_) SetMapSize(kFirstMapBytes);
    status = mdb_env_open(made, folder_.c_str(), flags, 0664);
    if (status != MDB_SUCCESS) env_.reset();
    return status;
  }

  void SetMapSize(size_t bytes) {
    const int status = mdb_env_set_mapsize(env_.get(), bytes);
    if (status != MDB_SUCCESS) Fail("cannot map " + std::to_string(bytes) + " bytes for", status);
  }

  const string folder_;
  const bool writable_;
  const pid_t process_ = getpid();
  EnvironmentHandle env_;
  std::mutex mutex_;
  int readers_ = 0;
};

namespace {

// LMDB's locks break where a process opens an environment twice, and where it uses one of the process that it
// was forked from. Never destroyed: a DB in a static variable may close later than this would go.
typedef OpenOnce<std::pair<dev_t, ino_t>, LMDBEnvironment> OpenEnvironments;

void MakeFolder(const string& source, Mode mode) {
  if (mkdir(source.c_str(), 0755) == 0 || (mode == WRITE && errno == EEXIST)) return;
  const int error = errno;
  const string reason = error == EEXIST   ? "it exists already; remove it, or choose another name"
                        : error == ENOENT ? "the folder it is to be made in does not exist"
                                          : std::generic_category().message(error);
  throw Error("cannot make the LMDB '" + source + "': " + reason, "", "", source);
}

}  // namespace

void LMDB::Open(const string& source, Mode mode) {
  Close();
  if (mode != READ) MakeFolder(source, mode);
  struct stat data;
  // In writing a folder without data becomes a database; any other must be a sound one.
  if (mode == READ || stat((source + "/data.mdb").c_str(), &data) == 0) CheckLMDBDataFile(source);
  struct stat folder;
  PCHECK(stat(source.c_str(), &folder) == 0) << source;
  environment_ = OfThisProcess<OpenEnvironments>().Get(
      {folder.st_dev, folder.st_ino}, [&] { return std::make_unique<LMDBEnvironment>(source, mode); });
  if (mode != READ && !environment_->writable()) {
    const shared_ptr<LMDBEnvironment> reading = std::move(environment_);
    reading->FailBecause("cannot write to", "this process reads it; close that first");
  }
  LOG(INFO) << "Opened lmdb " << source;
}

LMDBCursor* LMDB::NewCursor() {
  CHECK(environment_) << "the LMDB is not open";
  MDB_txn* txn = environment_->BeginRead();
  MDB_dbi dbi;
  MDB_cursor* cursor;
  int status = mdb_dbi_open(txn, nullptr, 0, &dbi);
  if (status == MDB_SUCCESS) status = mdb_cursor_open(txn, dbi, &cursor);
  if (status != MDB_SUCCESS) {
    environment_->EndRead(txn);
    environment_->Fail("cannot read", status);
  }
  return new LMDBCursor(txn, cursor, environment_);
}

LMDBTransaction* LMDB::NewTransaction() {
  CHECK(environment_) << "the LMDB is not open";
  return new LMDBTransaction(environment_->get(), environment_);
}

LMDBCursor::LMDBCursor(MDB_txn* mdb_txn, MDB_cursor* mdb_cursor, shared_ptr<LMDBEnvironment> environment)
    : mdb_txn_(mdb_txn), mdb_cursor_(mdb_cursor), environment_(std::move(environment)) {
  try {
    page_check_ = std::make_unique<LMDBPageCheck>(mdb_txn);
    SeekToFirst();
  } catch (...) {
    Release();
    throw;
  }
}

LMDBCursor::~LMDBCursor() { Release(); }

void LMDBCursor::Release() {
  mdb_cursor_close(mdb_cursor_);
  if (environment_) {
    environment_->EndRead(mdb_txn_);
  } else {
    mdb_txn_abort(mdb_txn_);
  }
}

void LMDBCursor::SeekToFirst() {
  page_check_->First();
  Seek(MDB_FIRST);
}

void LMDBCursor::Next() {
  page_check_->Next();
  Seek(MDB_NEXT);
}

void LMDBCursor::Seek(int operation) {
  MDB_val key, value;
  const int status = mdb_cursor_get(mdb_cursor_, &key, &value, static_cast<MDB_cursor_op>(operation));
  valid_ = status == MDB_SUCCESS;
  if (valid_) {
    key_ = {static_cast<const char*>(key.mv_data), key.mv_size};
    value_ = {static_cast<const char*>(value.mv_data), value.mv_size};
  } else if (status != MDB_NOTFOUND) {
    if (environment_) environment_->Fail("cannot read", status);
    MDB_CHECK(status);
  }
}

LMDBTransaction::LMDBTransaction(MDB_env* mdb_env, shared_ptr<LMDBEnvironment> environment)
    : mdb_env_(mdb_env), environment_(std::move(environment)) {}

void LMDBTransaction::Put(const string& key, const string& value) {
  const size_t longest = mdb_env_get_maxkeysize(mdb_env_);
  CHECK(!key.empty() && key.size() <= longest)
      << "a key of an LMDB has 1 to " << longest << " bytes; this one has " << key.size();
  records_.emplace_back(key, value);
}

void LMDBTransaction::Commit() {
  if (environment_) {
    environment_->Write(records_);
  } else {
    MDB_CHECK(TryWrite(mdb_env_, records_));
  }
  records_.clear();
}

}  // namespace db
}  // namespace caffe
