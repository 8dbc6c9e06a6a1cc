#include "caffe/data_reader.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "caffe/test/test_error_util.hpp"
#include "caffe/util/format.hpp"
#include "net_test_util.hpp"

namespace caffe {

class DataReaderTest : public ::testing::Test {
 protected:
  DataReaderTest() {
    param_.set_name("data");
    param_.set_phase(TRAIN);
    param_.mutable_data_param()->set_source(folder_ / "records");
    param_.mutable_data_param()->set_backend(DataParameter::LMDB);
    param_.mutable_data_param()->set_batch_size(2);
    param_.mutable_data_param()->set_prefetch(2);
  }
  ~DataReaderTest() override { Caffe::set_solver_count(1); }

  void Write(const vector<string>& values) {
    const std::unique_ptr<db::DB> database(db::GetDB(DataParameter::LMDB));
    database->Open(param_.data_param().source(), db::NEW);
    const std::unique_ptr<db::Transaction> transaction(database->NewTransaction());
    for (size_t i = 0; i < values.size(); ++i) transaction->Put(format_int(i, 3), values[i]);
    transaction->Commit();
  }

  void WriteLabels(int count) {
    vector<string> values;
    for (int i = 0; i < count; ++i) {
      Datum datum;
      datum.set_label(i);
      values.push_back(datum.SerializeAsString());
    }
    Write(values);
  }

  static vector<int> Labels(const DataReader& reader, int count) {
    vector<int> labels;
    for (int i = 0; i < count; ++i) {
      Datum* datum = reader.full().pop();
      labels.push_back(datum->label());
      reader.free().push(datum);
    }
    return labels;
  }

  TempFolder folder_;
  LayerParameter param_;
};

TEST_F(DataReaderTest, ReadsAheadAndWraps) {
  WriteLabels(3);
  const DataReader reader(param_);
  EXPECT_EQ((vector<int>{0, 1, 2, 0, 1, 2, 0, 1, 2, 0}), Labels(reader, 10));
}

TEST_F(DataReaderTest, SolversShareTheRecords) {
  WriteLabels(4);
  Caffe::set_solver_count(2);
  const DataReader first(param_), second(param_);
  EXPECT_EQ((vector<int>{0, 2, 0, 2, 0}), Labels(first, 5));
  EXPECT_EQ((vector<int>{1, 3, 1, 3, 1}), Labels(second, 5));
}

TEST_F(DataReaderTest, OtherLayersHaveAThreadOfTheirOwn) {
  WriteLabels(4);
  const DataReader first(param_);
  param_.set_name("more");
  const DataReader second(param_);
  EXPECT_EQ((vector<int>{0, 1, 2}), Labels(first, 3));
  EXPECT_EQ((vector<int>{0, 1, 2}), Labels(second, 3));
}

TEST_F(DataReaderTest, StartsAnewWhenAllReadersWent) {
  WriteLabels(4);
  EXPECT_EQ((vector<int>{0, 1}), Labels(DataReader(param_), 2));
  EXPECT_EQ((vector<int>{0, 1}), Labels(DataReader(param_), 2));
}

TEST_F(DataReaderTest, ErrorsComeToTheReaders) {
  const DataReader missing(param_);
  const string error = ErrorOf([&] { missing.full().pop(); });
  EXPECT_TRUE(Contains(error, "records': there is no such folder"));
  const DataReader late(param_);
  EXPECT_EQ(error, ErrorOf([&] { late.full().pop(); }));
}

TEST_F(DataReaderTest, DamagedAndMissingRecordsAreErrors) {
  Write({"", "garbage"});
  const DataReader reader(param_);
  EXPECT_EQ((vector<int>{0}), Labels(reader, 1));
  EXPECT_TRUE(Contains(ErrorOf([&] { reader.full().pop(); }), "record '001'"));
  param_.mutable_data_param()->set_source(folder_ / "empty");
  Write({});
  const DataReader empty(param_);
  EXPECT_TRUE(Contains(ErrorOf([&] { empty.full().pop(); }), "holds no records"));
  param_.mutable_data_param()->set_prefetch(0);
  EXPECT_TRUE(Contains(ErrorOf([&] { DataReader reader(param_); }), "prefetch 0"));
}

}  // namespace caffe
