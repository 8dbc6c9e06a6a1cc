#include "caffe/util/db.hpp"

#include <gtest/gtest.h>
#include <sys/fsuid.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
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
  fs::resize_file(data(), 100);
  EXPECT_TRUE(Contains(OpenError(db::READ), "not LMDB data"));
  fs::resize_file(data(), 0);
  EXPECT_TRUE(Contains(OpenError(db::READ), "empty"));
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
