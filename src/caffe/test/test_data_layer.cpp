#include "caffe/layers/data_layer.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "caffe/test/test_error_util.hpp"
#include "caffe/util/format.hpp"
#include "caffe/util/image.hpp"
#include "data_layer_test_util.hpp"

namespace caffe {

template <typename TypeParam>
class DataLayerTest : public DataLayerTestBase<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;
  static constexpr int kRecords = 5;

  DataLayerTest() : DataLayerTestBase<TypeParam>("Data"), source_(this->folder_ + "/records") {
    DataParameter* data = this->param_.mutable_data_param();
    data->set_source(source_);
    data->set_backend(DataParameter::LMDB);
    data->set_batch_size(2);
  }

  /// Record i: 2 x 3 x 4 values that count up from i, and label i.
  static Datum Record(int i, bool as_float = false) {
    Datum datum;
    datum.set_channels(2);
    datum.set_height(3);
    datum.set_width(4);
    datum.set_label(i);
    for (int j = 0; j < 24; ++j) {
      if (as_float) {
        datum.add_float_data(i + j);
      } else {
        datum.mutable_data()->push_back(static_cast<char>(i + j));
      }
    }
    return datum;
  }

  void WriteRecords(const vector<string>& values, DataParameter::DB backend = DataParameter::LMDB) {
    const std::unique_ptr<db::DB> database(db::GetDB(backend));
    database->Open(source_, db::NEW);
    const std::unique_ptr<db::Transaction> transaction(database->NewTransaction());
    for (size_t i = 0; i < values.size(); ++i) transaction->Put(format_int(i, 3), values[i]);
    transaction->Commit();
  }

  void WriteDatums(int count = kRecords, bool as_float = false,
                   DataParameter::DB backend = DataParameter::LMDB) {
    vector<string> values;
    for (int i = 0; i < count; ++i) values.push_back(Record(i, as_float).SerializeAsString());
    WriteRecords(values, backend);
  }

  void ExpectRecords() {
    const auto layer = this->SetUpLayer();
    EXPECT_EQ((vector<int>{2, 2, 3, 4}), this->data_.shape());
    EXPECT_EQ((vector<int>{2}), this->label_.shape());
    for (int pass = 0; pass < 12; ++pass) {
      layer->Forward({}, this->top_);
      for (int item = 0; item < 2; ++item) {
        const int record = (pass * 2 + item) % kRecords;
        EXPECT_EQ(record, this->label_.cpu_data()[item]);
        for (int j = 0; j < 24; ++j) EXPECT_EQ(record + j, this->data_.cpu_data()[item * 24 + j]);
      }
    }
  }

  string SetUpError() {
    return ErrorOf([&] { this->SetUpLayer(); });
  }

  const string source_;
};

TYPED_TEST_SUITE(DataLayerTest, TestDtypesAndDevices);

TYPED_TEST(DataLayerTest, ReadsBytesAndWraps) {
  this->WriteDatums();
  this->ExpectRecords();
}

TYPED_TEST(DataLayerTest, ReadsFloats) {
  this->WriteDatums(this->kRecords, true);
  this->ExpectRecords();
}

TYPED_TEST(DataLayerTest, ReadsLevelDB) {
  this->param_.mutable_data_param()->set_backend(DataParameter::LEVELDB);
#ifdef USE_LEVELDB
  this->WriteDatums(this->kRecords, false, DataParameter::LEVELDB);
  this->ExpectRecords();
#else
  EXPECT_TRUE(Contains(this->SetUpError(), "libleveldb-dev"));
#endif
}

TYPED_TEST(DataLayerTest, ReadsOneBatchAhead) {
  this->param_.mutable_data_param()->set_prefetch(1);
  this->WriteDatums();
  this->ExpectRecords();
}

TYPED_TEST(DataLayerTest, ABatchMayBeLargerThanTheDatabase) {
  this->param_.mutable_data_param()->set_batch_size(7);
  this->WriteDatums(3);
  EXPECT_EQ((vector<int>{0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1}),
            this->Labels(this->SetUpLayer().get(), 2));
}

TYPED_TEST(DataLayerTest, TheLabelIsOptional) {
  this->WriteDatums();
  this->top_.pop_back();
  const auto layer = this->SetUpLayer();
  layer->Forward({}, this->top_);
  layer->Forward({}, this->top_);
  EXPECT_EQ(2, this->data_.cpu_data()[0]);
  EXPECT_EQ(0, this->label_.count());
}

TYPED_TEST(DataLayerTest, TransformsAtRandomByTheSeed) {
  this->WriteDatums();
  this->param_.mutable_transform_param()->set_crop_size(1);
  this->param_.mutable_transform_param()->set_mirror(true);
  const auto run = [this](int seed) {
    Caffe::set_random_seed(seed);
    const auto layer = this->SetUpLayer();
    vector<double> values;
    for (int i = 0; i < 10; ++i) {
      layer->Forward({}, this->top_);
      values.insert(values.end(), this->data_.cpu_data(), this->data_.cpu_data() + this->data_.count());
    }
    return values;
  };
  EXPECT_EQ(run(1701), run(1701));
  EXPECT_NE(run(1701), run(1702));
}

TYPED_TEST(DataLayerTest, ReadsEncodedImages) {
  Image image(3, 4, 3);
  for (int i = 0; i < 36; ++i) image.pixels[i] = i * 5;
  vector<string> values;
  for (const Image& saved : {image, GrayOf(image)}) {
    Datum datum;
    datum.set_data(EncodeImage(saved, ImageFormat::PNG));
    datum.set_encoded(true);
    values.push_back(datum.SerializeAsString());
  }
  this->WriteRecords(values);
  this->param_.mutable_data_param()->set_force_encoded_color(true);
  const auto layer = this->SetUpLayer();
  layer->Forward({}, this->top_);
  EXPECT_EQ((vector<int>{2, 3, 3, 4}), this->data_.shape());
  EXPECT_EQ(image.row(1)[2 * 3 + 1], this->data_.data_at(0, 1, 1, 2));
  EXPECT_EQ(GrayOf(image).row(2)[3], this->data_.data_at(1, 2, 2, 3));
}

TYPED_TEST(DataLayerTest, SingleImagesMayDifferInSize) {
  Datum wide = this->Record(1);
  wide.set_height(1);
  wide.set_width(12);
  this->WriteRecords({this->Record(0).SerializeAsString(), wide.SerializeAsString()});
  this->param_.mutable_data_param()->set_batch_size(1);
  const auto layer = this->SetUpLayer();
  for (int i = 0; i < 4; ++i) {
    layer->Forward({}, this->top_);
    EXPECT_EQ(i % 2 ? (vector<int>{1, 2, 1, 12}) : (vector<int>{1, 2, 3, 4}), this->data_.shape());
    EXPECT_EQ(i % 2, this->data_.cpu_data()[0]);
  }
}

TYPED_TEST(DataLayerTest, TwoLayersReadOneDatabase) {
  this->WriteDatums();
  const auto train = this->SetUpLayer();
  Blob<typename TypeParam::Dtype> data, label;
  LayerParameter param(this->param_);
  param.set_phase(TEST);
  auto test = LayerRegistry<typename TypeParam::Dtype>::CreateLayer(param);
  test->SetUp({}, {&data, &label});
  for (int i = 0; i < 5; ++i) {
    train->Forward({}, this->top_);
    test->Forward({}, {&data, &label});
    EXPECT_EQ(i * 2 % 5, label.cpu_data()[0]);
    EXPECT_EQ(i * 2 % 5, this->label_.cpu_data()[0]);
  }
  test.reset();
  EXPECT_EQ((vector<int>{0, 1}), this->Labels(train.get(), 1));
}

TYPED_TEST(DataLayerTest, SolversShareTheRecords) {
  this->WriteDatums(6);
  Caffe::set_solver_count(3);
  Caffe::set_solver_rank(1);
  const vector<int> train = this->Labels(this->SetUpLayer().get(), 2);
  this->param_.set_phase(TEST);
  const vector<int> test = this->Labels(this->SetUpLayer().get(), 2);
  Caffe::set_solver_count(1);
  Caffe::set_solver_rank(0);
  EXPECT_EQ((vector<int>{1, 4, 1, 4}), train);
  EXPECT_EQ((vector<int>{0, 1, 2, 3}), test);
}

TYPED_TEST(DataLayerTest, RandSkipStartsElsewhere) {
  this->WriteDatums();
  this->param_.mutable_data_param()->set_rand_skip(100);
  std::set<int> starts;
  for (int seed = 0; seed < 20; ++seed) {
    Caffe::set_random_seed(seed);
    const vector<int> labels = this->Labels(this->SetUpLayer().get(), 1);
    EXPECT_EQ((labels[0] + 1) % 5, labels[1]);
    starts.insert(labels[0]);
  }
  EXPECT_GT(starts.size(), 2u);
}

TYPED_TEST(DataLayerTest, CanBeDestroyedAtAnyTime) {
  this->WriteDatums();
  LayerRegistry<typename TypeParam::Dtype>::CreateLayer(this->param_);
  for (int passes = 0; passes < 10; ++passes) this->Labels(this->SetUpLayer().get(), passes);
}

TYPED_TEST(DataLayerTest, IsSetUpOnce) {
  this->WriteDatums();
  const auto layer = this->SetUpLayer();
  EXPECT_TRUE(Contains(ErrorOf([&] { layer->SetUp({}, this->top_); }), "only once"));
}

TYPED_TEST(DataLayerTest, SetUpErrorsNameLayerAndSource) {
  const string missing = this->SetUpError();
  EXPECT_TRUE(Contains(missing, "layer 'input' (Data)"));
  EXPECT_TRUE(Contains(missing, this->source_));
  this->WriteRecords({});
  EXPECT_TRUE(Contains(this->SetUpError(), "holds no records"));
  std::filesystem::remove_all(this->source_);
  this->WriteRecords({"garbage"});
  EXPECT_TRUE(Contains(this->SetUpError(), "record '000' of '" + this->source_ + "': it is not a Datum"));
  this->param_.mutable_data_param()->set_batch_size(0);
  EXPECT_TRUE(Contains(this->SetUpError(), "batch_size is 0"));
  this->param_.mutable_data_param()->set_prefetch(0);
  EXPECT_TRUE(Contains(this->SetUpError(), "prefetch is 0"));
  this->param_.mutable_data_param()->set_prefetch(4294967295u);
  EXPECT_TRUE(Contains(this->SetUpError(), "read 1 to 65536 batches ahead"));
}

TYPED_TEST(DataLayerTest, ErrorsOfTheWorkerComeWithTheirBatch) {
  Datum small = this->Record(3);
  small.set_height(1);
  small.mutable_data()->resize(8);
  this->WriteRecords({this->Record(0).SerializeAsString(), this->Record(1).SerializeAsString(),
                      this->Record(2).SerializeAsString(), small.SerializeAsString()});
  const auto layer = this->SetUpLayer();
  EXPECT_EQ((vector<int>{0, 1}), this->Labels(layer.get(), 1));
  for (int i = 0; i < 2; ++i) {
    const string error = ErrorOf([&] { layer->Forward({}, this->top_); });
    EXPECT_TRUE(Contains(error, "layer 'input' (Data): record '003' of '" + this->source_ + "'"));
    EXPECT_TRUE(Contains(error, "is 2 x 1 x 4"));
  }
}

TYPED_TEST(DataLayerTest, OtherErrorsOfTheWorkerNameTheLayerToo) {
  typedef typename TypeParam::Dtype Dtype;
  class Failing : public DataLayer<Dtype> {
   public:
    explicit Failing(const LayerParameter& param) : DataLayer<Dtype>(param) {}
    ~Failing() override { this->StopInternalThread(); }

   protected:
    void load_batch(Batch<Dtype>*) override { throw std::bad_alloc(); }
  };
  this->WriteDatums();
  Failing layer(this->param_);
  layer.SetUp({}, this->top_);
  EXPECT_TRUE(Contains(ErrorOf([&] { layer.Forward({}, this->top_); }), "layer 'input' (Data): cannot read"));
}

}  // namespace caffe
