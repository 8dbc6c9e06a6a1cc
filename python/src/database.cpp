#include "database.hpp"

namespace caffe {
namespace python {

namespace {

db::Mode ModeOf(const std::string& mode) {
  if (mode == "new") return db::NEW;
  if (mode == "write") return db::WRITE;
  if (mode == "read") return db::READ;
  throw Error("a database is opened in mode \"read\", \"write\" (an existing one) or \"new\", not \"" + mode +
              "\"");
}

}  // namespace

Database::Database(const Path& path, const std::string& mode, const std::string& backend)
    : path_(path.string()), writable_(ModeOf(mode) != db::READ), db_(db::GetDB(backend)) {
  db_->Open(path_, ModeOf(mode));
}

void Database::Put(const std::string& key, const std::string& value) {
  CheckWritable();
  if (!transaction_) transaction_.reset(Opened().NewTransaction());
  transaction_->Put(key, value);
}

void Database::Commit() {
  CheckWritable();
  if (!transaction_) return;
  transaction_->Commit();
  transaction_.reset();
}

void Database::Close() {
  transaction_.reset();
  if (db_) db_->Close();
  db_.reset();
}

db::DB& Database::Opened() {
  if (!db_) throw Error("the database '" + path_ + "' is closed");
  return *db_;
}

void Database::CheckWritable() {
  Opened();
  if (!writable_)
    throw Error("the database '" + path_ + "' is open for reading; to add to it, use mode \"write\"");
}

namespace {

// Goes through the records from the first on.
class Items {
 public:
  explicit Items(Database& database) : cursor_(database.Opened().NewCursor()) {}

  py::tuple Next() {
    if (started_) cursor_->Next();
    started_ = true;
    if (!cursor_->valid()) throw py::stop_iteration();
    return py::make_tuple(py::bytes(cursor_->key()), py::bytes(cursor_->value()));
  }

 private:
  std::unique_ptr<db::Cursor> cursor_;
  bool started_ = false;
};

}  // namespace

void BindDatabase(py::module_& module) {
  py::class_<Items>(module, "DatabaseItems")
      .def("__iter__", [](py::object self) { return self; })
      .def("__next__", &Items::Next);
  py::class_<Database>(
      module, "Database",
      "Database(path, mode, backend=\"lmdb\"): a folder of records. The mode is \"read\", \"write\" (adds "
      "to\n"
      "an existing database) or \"new\". A with block closes it; what was not committed by then is dropped.")
      .def(py::init<const Path&, const std::string&, const std::string&>(), ReleaseGil(), py::arg("path"),
           py::arg("mode"), py::arg("backend") = "lmdb")
      .def("put", &Database::Put, py::arg("key"), py::arg("value"),
           "Adds a record, or replaces the one of that key, with the next commit.")
      .def("commit", &Database::Commit, ReleaseGil(), "Writes what was put since the last commit.")
      .def(
          "items", [](Database& database) { return std::make_unique<Items>(database); },
          "The committed records, as pairs of bytes, in the order of their keys.")
      .def("close", &Database::Close)
      .def(
          "__enter__", [](Database& database) -> Database& { return database; },
          py::return_value_policy::reference_internal)
      .def("__exit__", [](Database& database, const py::args&) { database.Close(); });
}

}  // namespace python
}  // namespace caffe
