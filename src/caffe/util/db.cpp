#include "caffe/util/db.hpp"

#include <string>

#include "caffe/util/db_leveldb.hpp"
#include "caffe/util/db_lmdb.hpp"

namespace caffe {
namespace db {

DB* GetDB(DataParameter::DB backend) {
  if (backend == DataParameter::LMDB) return new LMDB();
#ifdef USE_LEVELDB
  return new LevelDB();
#else
  LOG(FATAL)
      << "this build cannot read LevelDB: install LevelDB (Debian, Ubuntu: libleveldb-dev) and build "
         "again, or convert the data to LMDB and set 'backend: LMDB' in data_param (without a backend, "
         "data_param means LevelDB)";
  return nullptr;
#endif
}

DB* GetDB(const string& backend) {
  if (backend == "lmdb") return GetDB(DataParameter::LMDB);
  if (backend == "leveldb") return GetDB(DataParameter::LEVELDB);
  LOG(FATAL) << "unknown database backend '" << backend << "': use lmdb or leveldb";
  return nullptr;
}

}  // namespace db
}  // namespace caffe
