#include "caffe/util/db.hpp"

#include <gtest/gtest.h>
#include <sys/fsuid.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_error_util.hpp"
#include "caffe/util/format.hpp"
#include "caffe/util/io.hpp"

namespace caffe {

namespace {

namespace fs = std::filesystem;

typedef std::vector<std::pair<string, string>> Records;

std::unique_ptr<db::DB> OpenDB(const string& backend, const string& source, db::Mode mode) {
  std::unique_ptr<db::DB> database(db::GetDB(backend));
  database->Open(source, mode);
  return database;
}

void Write(db::DB* database, const Records& records) {
  const std::unique_ptr<db::Transaction> transaction(database->NewTransaction());
  for (const auto& record : records) transaction->Put(record.first, record.second);
  transaction->Commit();
}

Records ReadAll(db::DB* database) {
  const std::unique_ptr<db::Cursor> cursor(database->NewCursor());
  Records records;
  for (; cursor->valid(); cursor->Next()) records.emplace_back(cursor->key(), cursor->value());
  return records;
}

}  // namespace

class DBTest : public ::testing::TestWithParam<const char*> {
 protected:
  DBTest() {
    MakeTempDir(&folder_);
    source_ = folder_ + "/records";
  }
  ~DBTest() override { fs::remove_all(folder_); }

  std::unique_ptr<db::DB> Open(db::Mode mode) { return OpenDB(GetParam(), source_, mode); }
  string OpenError(db::Mode mode) {
    return ErrorOf([&] { Open(mode); });
  }

  string folder_;
  string source_;
  const Records records_{{"1", "one"}, {"2", string("two\0zero", 8)}, {"3", ""}};
};

TEST_P(DBTest, ReadsWhatWasWritten) {
  {
    const auto database = Open(db::NEW);
    Write(database.get(), {records_[2], records_[0]});
    Write(database.get(), {records_[1]});
  }
  EXPECT_EQ(records_, ReadAll(Open(db::READ).get()));
}

TEST_P(DBTest, WriteAddsAndReplaces) {
  Write(Open(db::WRITE).get(), {{"1", "old"}, {"2", records_[1].second}});
  Write(Open(db::WRITE).get(), {{"1", "one"}, records_[2]});
  EXPECT_EQ(records_, ReadAll(Open(db::READ).get()));
}

TEST_P(DBTest, DropsWhatIsNotCommitted) {
  const auto database = Open(db::NEW);
  {
    const std::unique_ptr<db::Transaction> transaction(database->NewTransaction());
    transaction->Put("1", "one");
  }
  EXPECT_EQ(Records(), ReadAll(database.get()));
}

TEST_P(DBTest, TransactionsCanBeUsedAgain) {
  const auto database = Open(db::NEW);
  const std::unique_ptr<db::Transaction> transaction(database->NewTransaction());
  transaction->Put("1", "one");
  transaction->Commit();
  Write(database.get(), {{"1", "changed"}});
  transaction->Put("2", "two");
  transaction->Commit();
  EXPECT_EQ((Records{{"1", "changed"}, {"2", "two"}}), ReadAll(database.get()));
}

TEST_P(DBTest, CursorsSeekBack) {
  const auto database = Open(db::NEW);
  Write(database.get(), records_);
  const std::unique_ptr<db::Cursor> cursor(database->NewCursor());
  while (cursor->valid()) cursor->Next();
  cursor->SeekToFirst();
  ASSERT_TRUE(cursor->valid());
  EXPECT_EQ("one", cursor->value());
}

TEST_P(DBTest, OpensTheSameFolderTwice) {
  Write(Open(db::NEW).get(), records_);
  const auto first = Open(db::READ);
  const auto second = Open(db::READ);
  const std::unique_ptr<db::Cursor> cursor(first->NewCursor());
  first->Close();
  EXPECT_EQ(records_, ReadAll(second.get()));
  second->Close();
  EXPECT_EQ("one", cursor->value());
  cursor->Next();
  EXPECT_EQ("2", cursor->key());
}

TEST_P(DBTest, ReadsWhileTheProcessWrites) {
  const auto writing = Open(db::NEW);
  Write(writing.get(), {records_[0]});
  const auto reading = Open(db::READ);
  const std::unique_ptr<db::Cursor> before(reading->NewCursor());
  Write(writing.get(), {records_[1]});
  EXPECT_EQ(2u, ReadAll(reading.get()).size());
  before->Next();
  EXPECT_FALSE(before->valid());
}

TEST_P(DBTest, SaysWhatIsMissing) {
  EXPECT_TRUE(Contains(OpenError(db::READ), source_));
  EXPECT_TRUE(Contains(OpenError(db::READ), "no such folder"));
  fs::create_directory(source_);
  EXPECT_TRUE(Contains(OpenError(db::READ), "Check 'source'"));
  EXPECT_TRUE(
      Contains(ErrorOf([&] { std::unique_ptr<db::DB>(db::GetDB(GetParam()))->NewCursor(); }), "not open"));
}

TEST_P(DBTest, NewDoesNotTouchWhatExists) {
  Write(Open(db::NEW).get(), records_);
  EXPECT_TRUE(Contains(OpenError(db::NEW), "exists already"));
  EXPECT_EQ(records_, ReadAll(Open(db::READ).get()));
}

TEST_P(DBTest, TellsTheOtherBackend) {
#ifdef USE_LEVELDB
  const bool lmdb = string(GetParam()) == "lmdb";
  OpenDB(lmdb ? "leveldb" : "lmdb", source_, db::NEW);
  EXPECT_TRUE(Contains(OpenError(db::READ), lmdb ? "backend: LEVELDB" : "backend: LMDB"));
#else
  GTEST_SKIP() << "built without LevelDB";
#endif
}

#ifdef USE_LEVELDB
INSTANTIATE_TEST_SUITE_P(Backends, DBTest, ::testing::Values("lmdb", "leveldb"));
#else
INSTANTIATE_TEST_SUITE_P(Backends, DBTest, ::testing::Values("lmdb"));

TEST(DBBackendTest, SaysHowToGetLevelDB) {
  EXPECT_TRUE(Contains(ErrorOf([] { db::GetDB("leveldb"); }), "libleveldb-dev"));
}
#endif

TEST(DBBackendTest, UnknownBackend) {
  EXPECT_TRUE(Contains(ErrorOf([] { db::GetDB("sqlite"); }), "'sqlite': use lmdb or leveldb"));
}

class LMDBTest : public DBTest {
 protected:
  string data() const { return source_ + "/data.mdb"; }
  void MakeRecords(int count) {
    const auto database = Open(db::NEW);
    Records records;
    for (int i = 0; i < count; ++i) records.emplace_back(format_int(i, 5), string(5000, 'x'));
    Write(database.get(), records);
  }
  /// Changes bytes of data.mdb; returns those that were there.
  string Overwrite(size_t place, const string& bytes) {
    std::fstream file(data(), std::ios::binary | std::ios::in | std::ios::out);
    string before(bytes.size(), '\0');
    file.seekg(place).read(&before[0], before.size());
    file.seekp(place).write(bytes.data(), bytes.size());
    return before;
  }
  string ReadError() {
    return ErrorOf([this] { ReadAll(Open(db::READ).get()); });
  }
};
INSTANTIATE_TEST_SUITE_P(Backends, LMDBTest, ::testing::Values("lmdb"));

TEST_P(LMDBTest, NeverMapsATruncatedFile) {
  MakeRecords(100);
  const auto whole = fs::file_size(data());
  for (const auto size : {whole - 1, whole / 2, uintmax_t{8192}}) {
    fs::resize_file(data(), size);
    const string error = OpenError(db::READ);
    EXPECT_TRUE(Contains(error, source_));
    EXPECT_TRUE(Contains(error, "cut short"));
    EXPECT_TRUE(Contains(error, "Copy or make the database again"));
    EXPECT_TRUE(Contains(OpenError(db::WRITE), "cut short"));
  }
  for (uintmax_t size = 8191; size > 0; size -= std::min<uintmax_t>(size, 61)) {
    fs::resize_file(data(), size);
    EXPECT_TRUE(Contains(OpenError(db::READ), size < 152 ? "not LMDB data" : "Copy or make")) << size;
  }
  fs::resize_file(data(), 0);
  EXPECT_TRUE(Contains(OpenError(db::READ), "empty"));
}

TEST_P(LMDBTest, AFileCutShortWhileItIsReadIsAnError) {
  MakeRecords(100);
  const auto database = Open(db::READ);
  const std::unique_ptr<db::Cursor> cursor(database->NewCursor());
  cursor->Next();
  fs::resize_file(data(), 8192);
  EXPECT_TRUE(Contains(ErrorOf([&] { cursor->Next(); }), "cut short while it was open"));
  EXPECT_TRUE(Contains(ErrorOf([&] { cursor->SeekToFirst(); }), source_));
}

TEST_P(LMDBTest, DamagedPagesAreErrors) {
  // A branch, leaves, and values on pages of their own.
  Records records;
  for (int i = 0; i < 200; ++i) records.emplace_back(format_int(i, 5), string(i % 40 ? 500 : 9000, 'x'));
  Write(Open(db::NEW).get(), records);
  EXPECT_EQ(records, ReadAll(Open(db::READ).get()));
  constexpr size_t kPage = 4096;
  const size_t size = fs::file_size(data());
  ASSERT_EQ(0u, size % kPage);
  int errors = 0;
  std::mt19937 random(1701);
  for (size_t page = 0; page < size; page += kPage) {
    // In the head, in the offsets of the nodes, and in nodes: their sizes and page numbers.
    for (const size_t place : {size_t{0}, size_t{10}, size_t{16}, size_t{16 + random() % 60}, kPage - 8,
                               kPage - 520, random() % (kPage - 8)}) {
      for (const bool random_bytes : {false, true}) {
        string garbage(8, '\xff');
        if (random_bytes) std::generate(garbage.begin(), garbage.end(), std::ref(random));
        const string sound = Overwrite(page + place, garbage);
        const string error = ReadError();
        Overwrite(page + place, sound);
        if (error.empty()) continue;
        EXPECT_TRUE(Contains(error, source_));
        ++errors;
      }
    }
  }
  EXPECT_GT(errors, 100);
  EXPECT_EQ(records, ReadAll(Open(db::READ).get()));
}

TEST_P(LMDBTest, SaysWhichPageIsDamaged) {
  // One record, on pages of its own: the root is a leaf with its page number.
  MakeRecords(1);
  const auto get = [&](size_t place, int bytes) {
    uint64_t value = 0;
    std::ifstream(data(), std::ios::binary).seekg(place).read(reinterpret_cast<char*>(&value), bytes);
    return value;
  };
  const auto error_with = [&](size_t place, uint64_t value, int bytes) {
    Overwrite(place, string(reinterpret_cast<const char*>(&value), bytes));
    return ReadError();
  };
  const size_t first_meta = 16, second_meta = 4096 + 16;
  const size_t meta = get(first_meta + 128, 8) > get(second_meta + 128, 8) ? first_meta : second_meta;
  const size_t tree = meta + 72, root = tree + 40;
  const size_t leaf = get(root, 8) * 4096;
  const size_t node = leaf + get(leaf + 16, 2);
  const string page = "page " + std::to_string(leaf / 4096);
  // Each damage is met before those above it, which stay.
  EXPECT_TRUE(Contains(error_with(node + 8 + 5, 1000000, 8), page + " refers to page 1000000"));
  EXPECT_TRUE(Contains(error_with(node + 4, 2, 2), page + " has a damaged record 0"));
  EXPECT_TRUE(Contains(error_with(node + 6, 5000, 2), page + " has node 0 outside of it"));
  EXPECT_TRUE(Contains(error_with(leaf + 12, 16, 2), page + " has 0 nodes"));
  EXPECT_TRUE(Contains(error_with(leaf + 10, 1, 2), page + " is not a leaf"));
  EXPECT_TRUE(Contains(error_with(tree + 6, 2, 2), page + " has 0 nodes"));
  EXPECT_TRUE(Contains(error_with(tree + 6, 33, 2), "tells a depth of 33"));
  EXPECT_TRUE(Contains(error_with(root, 1, 8), "refers to page 1"));
  EXPECT_TRUE(Contains(error_with(tree + 4, 4, 2), "several values of one key"));
}

TEST_P(LMDBTest, ATreeOfTheSamePagesHasAnEnd) {
  // Branches whose two children are the same: 28 levels, and as many pages.
  fs::create_directory(source_);
  fs::copy_file(FUZZ_SOURCE_DIR "corpus/lmdb/same_pages_again.mdb", data());
  EXPECT_TRUE(Contains(ReadError(), "the same pages again and again"));
}

TEST_P(LMDBTest, RefusesGarbage) {
  fs::create_directory(source_);
  std::ofstream(data()) << string(100000, 'g');
  EXPECT_TRUE(Contains(OpenError(db::READ), "not LMDB data"));
}

TEST_P(LMDBTest, RefusesAFileInPlaceOfTheFolder) {
  std::ofstream(source_) << "text";
  EXPECT_TRUE(Contains(OpenError(db::READ), "it is a file"));
}

TEST_P(LMDBTest, ReadsInAFolderThatCannotBeWritten) {
  MakeRecords(10);
  fs::remove(source_ + "/lock.mdb");
  fs::permissions(folder_, static_cast<fs::perms>(0755));
  fs::permissions(source_, static_cast<fs::perms>(0555));
  fs::permissions(data(), static_cast<fs::perms>(0444));
  // What root may do does not count here.
  setfsuid(65534);
  Records read;
  EXPECT_NO_THROW(read = ReadAll(Open(db::READ).get()));
  setfsuid(geteuid());
  EXPECT_EQ(10u, read.size());
  EXPECT_FALSE(fs::exists(source_ + "/lock.mdb"));
  fs::permissions(source_, fs::perms::owner_all);
}

TEST_P(LMDBTest, GrowsWithATransactionThatDoesNotFit) {
  const auto database = Open(db::NEW);
  Write(database.get(), {{"first", "1"}});
  Records records;
  for (int i = 0; i < 40; ++i) records.emplace_back(format_int(i, 5), string(2000000, 'x'));
  {
    const std::unique_ptr<db::Cursor> reader(database->NewCursor());
    EXPECT_TRUE(Contains(ErrorOf([&] { Write(database.get(), records); }), "while a cursor"));
  }
  Write(database.get(), records);
  records.emplace_back("first", "1");
  EXPECT_EQ(records, ReadAll(database.get()));
}

TEST_P(LMDBTest, WritingNeedsTheFolderClosed) {
  MakeRecords(1);
  const auto reading = Open(db::READ);
  EXPECT_TRUE(Contains(OpenError(db::WRITE), "this process reads it"));
  EXPECT_TRUE(Contains(ErrorOf([&] { Write(reading.get(), {{"1", "one"}}); }), "opened for reading"));
}

TEST_P(LMDBTest, NewNeedsTheFolderAbove) {
  source_ = folder_ + "/missing/records";
  EXPECT_TRUE(Contains(OpenError(db::NEW), "does not exist"));
}

TEST_P(LMDBTest, ChecksKeys) {
  const auto database = Open(db::NEW);
  EXPECT_TRUE(Contains(ErrorOf([&] { Write(database.get(), {{"", "x"}}); }), "1 to 511 bytes"));
  EXPECT_TRUE(Contains(ErrorOf([&] { Write(database.get(), {{string(512, 'k'), "x"}}); }), "has 512"));
}

}  // namespace caffe
