// Databases that others made.
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "caffe/util/db.hpp"
#include "caffe/util/image.hpp"
#include "readers.hpp"
#include "scratch.hpp"

namespace caffe {
namespace fuzz {

namespace {

namespace fs = std::filesystem;

/// More than fit into a file of the fuzzer's would be a loop.
constexpr int kMostRecords = 1 << 20;

void ReadDatabase(const char* backend, const std::string& folder) {
  MayRefuse([&] {
    const std::unique_ptr<db::DB> database(db::GetDB(backend));
    database->Open(folder, db::READ);
    const std::unique_ptr<db::Cursor> cursor(database->NewCursor());
    int records = 0;
    for (; cursor->valid(); cursor->Next()) {
      cursor->key();
      cursor->value();
      if (++records == kMostRecords) throw std::length_error("the records of a small file have no end");
    }
    cursor->SeekToFirst();
  });
}

#ifdef USE_LEVELDB

/// The files of a LevelDB of a few records, by names.
std::map<std::string, std::string> MakeLevelDb() {
  const std::string folder = ScratchPath("sound");
  // What is in the log when it is opened goes to a table; what comes then is in the log.
  for (const std::string keys : {"abc", "def"}) {
    std::vector<std::pair<std::string, std::string>> records;
    for (const char key : keys) records.emplace_back(std::string(1, key), std::string(40, key));
    WriteRecords("leveldb", folder, records);
  }
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind("LO", 0) != 0) files[name] = ReadFileBytes(entry.path().string());
  }
  return files;
}

#endif

}  // namespace

void ReadLmdb(const std::string& bytes) {
  fs::path file = WriteScratch("lmdb/data.mdb", bytes);
  ReadDatabase("lmdb", file.parent_path().string());
}

void ReadLevelDb(const std::string& bytes) {
#ifdef USE_LEVELDB
  if (bytes.empty()) return;
  static const std::map<std::string, std::string> sound = MakeLevelDb();
  const std::string folder = ScratchPath("leveldb");
  fs::remove_all(folder);
  const std::map<char, std::string> parts = {
      {'C', "CURRENT"}, {'M', "MANIFEST-"}, {'T', ".ldb"}, {'L', ".log"}};
  const auto part = parts.find(bytes[0]);
  for (const auto& [name, content] : sound) {
    const bool replaced = part != parts.end() && name.find(part->second) != std::string::npos;
    WriteScratch("leveldb/" + name, replaced ? bytes.substr(1) : content);
  }
  ReadDatabase("leveldb", folder);
#else
  (void)bytes;
#endif
}

}  // namespace fuzz
}  // namespace caffe
