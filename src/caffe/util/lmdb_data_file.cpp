#include "caffe/util/lmdb_data_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include "lmdb_format.hpp"

namespace caffe {
namespace db {

namespace {

namespace fs = std::filesystem;
using lmdb_format::Meta;

[[noreturn]] void Fail(const string& folder, const string& what) {
  throw Error("cannot open the LMDB '" + folder + "': " + what, "", "", folder);
}

/// The meta page at `offset`; false where there is none.
bool ReadMeta(std::ifstream* file, uint64_t offset, Meta* meta) {
  file->clear();
  file->seekg(offset + sizeof(lmdb_format::PageHeader));
  file->read(reinterpret_cast<char*>(meta), sizeof(*meta));
  const uint32_t page_size = meta->page_size();
  return file->good() && meta->magic == lmdb_format::kMagic && page_size >= 256 && page_size <= (1u << 16) &&
         (page_size & (page_size - 1)) == 0;
}

}  // namespace

void CheckLMDBDataFile(const string& folder) {
  std::error_code error;
  const fs::file_status status = fs::status(folder, error);
  if (status.type() == fs::file_type::none) Fail(folder, error.message());
  if (!fs::exists(status)) {
    Fail(folder, folder.empty()
                     ? "no source is given: set 'source' to the database's folder"
                     : "there is no such folder. Check 'source' (it is taken from the working folder " +
                           fs::current_path(error).string() + "), or make the database first");
  }
  if (!fs::is_directory(status)) Fail(folder, "it is a file; 'source' names the folder that holds data.mdb");

  const fs::path data = fs::path(folder) / "data.mdb";
  if (!fs::exists(data, error)) {
    if (fs::exists(fs::path(folder) / "CURRENT", error)) {
      Fail(folder, "it is a LevelDB: set 'backend: LEVELDB'");
    }
    Fail(folder, "the folder holds no data.mdb, so it is not an LMDB. Check 'source'");
  }
  errno = 0;
  std::ifstream file(data, std::ios::binary);
  if (!file) Fail(folder, "data.mdb: " + std::generic_category().message(errno));
  const uint64_t size = fs::file_size(data, error);
  if (size == 0) Fail(folder, "data.mdb is empty. Make the database again");

  Meta first, second;
  if (!ReadMeta(&file, 0, &first)) {
    Fail(folder,
         "data.mdb (" + std::to_string(size) +
             " bytes) is not LMDB data: it is damaged, or was written on a machine that is not 64-bit "
             "little-endian. Copy or make the database again");
  }
  if (first.version != lmdb_format::kVersion) {
    Fail(folder, "data.mdb is of version " + std::to_string(first.version) +
                     " of LMDB's format; this reads version " + std::to_string(lmdb_format::kVersion) +
                     ". Make the database with LMDB 0.9");
  }
  if (!ReadMeta(&file, first.page_size(), &second) || second.page_size() != first.page_size()) {
    Fail(folder, "data.mdb (" + std::to_string(size) +
                     " bytes) is cut short or damaged: its second page is not one of LMDB. Copy or make the "
                     "database again");
  }
  const uint64_t last_page = second.transaction > first.transaction ? second.last_page : first.last_page;
  const uint64_t pages = std::max<uint64_t>(last_page + 1, 2);
  if (size / first.page_size() < pages) {
    Fail(folder, "data.mdb is cut short: it has " + std::to_string(size) + " bytes of at least " +
                     std::to_string(pages) + " pages of " + std::to_string(first.page_size()) +
                     " bytes. Copy or make the database again");
  }
}

}  // namespace db
}  // namespace caffe
