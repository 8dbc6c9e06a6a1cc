#include "caffe/layers/hdf5_data_layer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <climits>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "caffe/test/test_error_util.hpp"
#include "data_layer_test_util.hpp"

namespace caffe {

#ifdef USE_HDF5

template <typename TypeParam>
class HDF5DataLayerTest : public DataLayerTestBase<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;

  HDF5DataLayerTest() : DataLayerTestBase<TypeParam>("HDF5Data"), list_(this->folder_ + "/list.txt") {
    this->param_.add_top("data");
    this->param_.add_top("label");
    hdf5_data()->set_source(list_);
    hdf5_data()->set_batch_size(3);
  }

  HDF5DataParameter* hdf5_data() { return this->param_.mutable_hdf5_data_param(); }

  /// Row i of `count`: 2 x 2 values 10 (first + i) + k, and the label first + i.
  void Save(const string& name, int first, int count, int label_rows, int data_values = 2) {
    const Hdf5Handle file = Hdf5CreateFile(this->folder_ + "/" + name);
    Blob<Dtype> data(vector<int>{count, data_values, 2}), label(vector<int>{label_rows});
    const int values = data_values * 2;
    for (int i = 0; i < data.count(); ++i) {
      data.mutable_cpu_data()[i] = 10 * (first + i / values) + i % values;
    }
    for (int i = 0; i < label_rows; ++i) label.mutable_cpu_data()[i] = first + i;
    hdf5_save_nd_dataset(file.get(), "data", data);
    hdf5_save_nd_dataset(file.get(), "label", label);
  }
  /// Rows 0, 1 | 2 ... 6 | 7 in three files.
  void SaveThree() {
    Save("a.h5", 0, 2, 2);
    Save("b.h5", 2, 5, 5);
    Save("c.h5", 7, 1, 1);
    // Beside the list, by a full name, and with blanks and an empty line.
    SaveList("a.h5\n\n\t" + this->folder_ + "/b.h5 \r\nc.h5");
  }
  void SaveList(const string& lines) { std::ofstream(list_, std::ios::binary) << lines; }

  void ExpectDataOfLabels() {
    ASSERT_EQ((vector<int>{3, 2, 2}), this->data_.shape());
    for (int i = 0; i < 12; ++i) {
      EXPECT_EQ(10 * this->label_.cpu_data()[i / 4] + i % 4, this->data_.cpu_data()[i]);
    }
  }
  string SetUpError() {
    return ErrorOf([&] { this->SetUpLayer(); });
  }

  const string list_;
};

TYPED_TEST_SUITE(HDF5DataLayerTest, TestDtypesAndDevices);

TYPED_TEST(HDF5DataLayerTest, ReadsOverTheBordersOfFiles) {
  this->SaveThree();
  const auto layer = this->SetUpLayer();
  EXPECT_EQ((vector<int>{3}), this->label_.shape());
  for (int pass = 0; pass < 10; ++pass) {
    layer->Forward({}, this->top_);
    this->ExpectDataOfLabels();
    for (int i = 0; i < 3; ++i) EXPECT_EQ((pass * 3 + i) % 8, this->label_.cpu_data()[i]);
  }
}

TYPED_TEST(HDF5DataLayerTest, WrapsAroundOneFile) {
  this->Save("a.h5", 0, 2, 2);
  this->SaveList("a.h5\n");
  this->hdf5_data()->set_batch_size(5);
  EXPECT_EQ((vector<int>{0, 1, 0, 1, 0, 1, 0, 1, 0, 1}), this->Labels(this->SetUpLayer().get(), 2));
}

TYPED_TEST(HDF5DataLayerTest, TopsMayBeOneOrMany) {
  this->SaveThree();
  Blob<typename TypeParam::Dtype> again;
  this->param_.add_top("label");
  this->top_.push_back(&again);
  auto layer = this->SetUpLayer();
  layer->Forward({}, this->top_);
  EXPECT_EQ(2, again.cpu_data()[2]);
  this->param_.clear_top();
  this->param_.add_top("label");
  this->top_ = {&this->data_};
  layer = this->SetUpLayer();
  layer->Forward({}, this->top_);
  EXPECT_EQ((vector<int>{3}), this->data_.shape());
  EXPECT_EQ(2, this->data_.cpu_data()[2]);
}

TYPED_TEST(HDF5DataLayerTest, ShufflesFilesAndRowsByTheSeed) {
  this->SaveThree();
  this->hdf5_data()->set_shuffle(true);
  this->hdf5_data()->set_batch_size(8);
  const auto run = [this](int seed) {
    Caffe::set_random_seed(seed);
    return this->Labels(this->SetUpLayer().get(), 10);
  };
  const vector<int> labels = run(1701);
  EXPECT_EQ(labels, run(1701));
  EXPECT_NE(labels, run(1702));
  std::set<vector<int>> orders;
  for (int pass = 0; pass < 10; ++pass) {
    vector<int> order(labels.begin() + pass * 8, labels.begin() + (pass + 1) * 8);
    orders.insert(order);
    // The rows of a file come together.
    EXPECT_EQ(1,
              std::abs(std::find(order.begin(), order.end(), 0) - std::find(order.begin(), order.end(), 1)));
    std::sort(order.begin(), order.end());
    EXPECT_EQ((vector<int>{0, 1, 2, 3, 4, 5, 6, 7}), order);
  }
  EXPECT_GT(orders.size(), 5u);
}

TYPED_TEST(HDF5DataLayerTest, KeepsRowsTogetherWhenShuffled) {
  this->SaveThree();
  this->hdf5_data()->set_shuffle(true);
  const auto layer = this->SetUpLayer();
  for (int pass = 0; pass < 10; ++pass) {
    layer->Forward({}, this->top_);
    this->ExpectDataOfLabels();
  }
}

TYPED_TEST(HDF5DataLayerTest, SolversShareTheRows) {
  this->SaveThree();
  this->hdf5_data()->set_batch_size(2);
  Caffe::set_solver_count(3);
  Caffe::set_solver_rank(1);
  const vector<int> train = this->Labels(this->SetUpLayer().get(), 3);
  this->param_.set_phase(TEST);
  const vector<int> test = this->Labels(this->SetUpLayer().get(), 1);
  Caffe::set_solver_count(1);
  Caffe::set_solver_rank(0);
  EXPECT_EQ((vector<int>{1, 4, 7, 2, 5, 0}), train);
  EXPECT_EQ((vector<int>{0, 1}), test);
}

TYPED_TEST(HDF5DataLayerTest, ErrorsNameFileAndDataset) {
  EXPECT_TRUE(Contains(this->SetUpError(), "layer 'input' (HDF5Data): cannot read the list of HDF5 files '"));
  this->SaveList(" \n");
  EXPECT_TRUE(Contains(this->SetUpError(), "list.txt' names no file"));
  this->SaveList("none.h5");
  EXPECT_TRUE(Contains(this->SetUpError(), "cannot read 'none.h5': No such file"));
  this->Save("a.h5", 0, 3, 2);
  this->SaveList("a.h5");
  EXPECT_TRUE(Contains(this->SetUpError(), "dataset 'label' has 2 rows, and 'data' 3"));
  this->Save("a.h5", 0, 0, 0);
  EXPECT_TRUE(Contains(this->SetUpError(), "have no rows"));
  this->Save("a.h5", 0, 3, 3);
  this->param_.set_top(1, "answer");
  EXPECT_TRUE(Contains(this->SetUpError(), "a.h5"));
  EXPECT_TRUE(Contains(this->SetUpError(), "has no dataset '/answer'"));
  this->hdf5_data()->set_source(this->folder_ + "/a.h5");
  EXPECT_TRUE(Contains(this->SetUpError(), "a.h5' is an HDF5 file"));
  this->hdf5_data()->set_source(this->folder_);
  EXPECT_TRUE(Contains(this->SetUpError(), "is it a file?"));
  this->hdf5_data()->set_batch_size(0);
  EXPECT_TRUE(Contains(this->SetUpError(), "batch_size is 0"));
  this->param_.mutable_transform_param()->set_scale(2);
  EXPECT_TRUE(Contains(this->SetUpError(), "does not transform"));
}

TYPED_TEST(HDF5DataLayerTest, DamagedFilesAreErrors) {
  this->Save("a.h5", 0, 3, 3);
  this->SaveList("a.h5");
  const string file = this->folder_ + "/a.h5";
  const auto size = std::filesystem::file_size(file);
  for (const auto kept : {size / 4, size / 2, size - 1}) {
    this->Save("a.h5", 0, 3, 3);
    std::filesystem::resize_file(file, kept);
    EXPECT_TRUE(Contains(this->SetUpError(), "a.h5")) << kept;
  }
}

TYPED_TEST(HDF5DataLayerTest, AllFilesNeedRowsOfOneShape) {
  this->Save("a.h5", 0, 3, 3);
  this->Save("b.h5", 3, 3, 3, 5);
  this->SaveList("a.h5\nb.h5");
  const string error = ErrorOf([this] { this->Labels(this->SetUpLayer().get(), 1); });
  EXPECT_TRUE(Contains(error, "b.h5"));
  EXPECT_TRUE(Contains(error, "rows of dataset 'data' have another shape"));
}

TYPED_TEST(HDF5DataLayerTest, RowsWithoutValuesAreRefused) {
  {
    const Hdf5Handle file = Hdf5CreateFile(this->folder_ + "/a.h5");
    for (const char* name : {"data", "label"})
      hdf5_save_nd_dataset(file.get(), name, Blob<float>({INT_MAX, 0}));
  }
  this->SaveList("a.h5");
  EXPECT_TRUE(Contains(ErrorOf([&] { this->SetUpLayer(); }), "the rows of dataset 'data' hold no values"));
}

#else

TEST(HDF5DataLayerTest, SaysWhatIsMissing) {
  LayerParameter param;
  param.set_type("HDF5Data");
  EXPECT_TRUE(Contains(ErrorOf([&] { LayerRegistry<float>::CreateLayer(param); }), "libhdf5-dev"));
}

#endif  // USE_HDF5

}  // namespace caffe
