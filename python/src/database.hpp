#ifndef CAFFE_PYTHON_DATABASE_HPP_
#define CAFFE_PYTHON_DATABASE_HPP_

#include "bindings.hpp"
#include "caffe/util/db.hpp"

namespace caffe {
namespace python {

/// A database for Python's dataset tools: a DB with the transaction that is being collected.
class Database {
 public:
  Database(const Path& path, const std::string& mode, const std::string& backend);

  void Put(const std::string& key, const std::string& value);
  void Commit();
  /// What is not committed is dropped.
  void Close();

  /// @throws Error where it is closed.
  db::DB& Opened();

 private:
  void CheckWritable();

  std::string path_;
  bool writable_;
  std::unique_ptr<db::DB> db_;
  std::unique_ptr<db::Transaction> transaction_;
};

}  // namespace python
}  // namespace caffe

#endif  // CAFFE_PYTHON_DATABASE_HPP_
