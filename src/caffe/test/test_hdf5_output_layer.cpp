#include "caffe/layers/hdf5_output_layer.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_error_util.hpp"
#include "net_test_util.hpp"

namespace caffe {

#ifdef USE_HDF5

template <typename TypeParam>
class HDF5OutputLayerTest : public MultiDeviceTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;

  HDF5OutputLayerTest() : data_(vector<int>{3, 2, 4}), label_(vector<int>{3}) {
    param_.set_name("save");
    param_.set_type("HDF5Output");
    param_.mutable_hdf5_output_param()->set_file_name(folder_ / "out.h5");
    std::iota(data_.mutable_cpu_data(), data_.mutable_cpu_data() + data_.count(), Dtype(0.5));
    std::iota(label_.mutable_cpu_data(), label_.mutable_cpu_data() + label_.count(), Dtype(7));
  }

  /// Runs a layer `passes` times; the label values go up by 3 in each.
  void Save(int passes) {
    HDF5OutputLayer<Dtype> layer(param_);
    layer.SetUp({&data_, &label_}, {});
    EXPECT_EQ(folder_ / "out.h5", layer.file_name());
    for (int pass = 0; pass < passes; ++pass) {
      layer.Forward({&data_, &label_}, {});
      for (int i = 0; i < label_.count(); ++i) label_.mutable_cpu_data()[i] += 3;
    }
  }

  TempFolder folder_;
  LayerParameter param_;
  Blob<Dtype> data_, label_;
};

TYPED_TEST_SUITE(HDF5OutputLayerTest, TestDtypesAndDevices);

TYPED_TEST(HDF5OutputLayerTest, EachPassAddsItsItems) {
  typedef typename TypeParam::Dtype Dtype;
  // The second layer makes the file anew.
  for (const int passes : {1, 4}) {
    this->Save(passes);
    const Hdf5Handle file = Hdf5OpenFile(this->folder_ / "out.h5");
    Blob<Dtype> data, label;
    hdf5_load_nd_dataset(file.get(), HDF5_DATA_DATASET_NAME, 4, 4, &data, true);
    hdf5_load_nd_dataset(file.get(), HDF5_DATA_LABEL_NAME, 4, 4, &label, true);
    EXPECT_EQ((vector<int>{3 * passes, 2, 4, 1}), data.shape());
    EXPECT_EQ((vector<int>{3 * passes, 1, 1, 1}), label.shape());
    for (int i = 0; i < data.count(); ++i) EXPECT_EQ(Dtype(0.5) + i % 24, data.cpu_data()[i]);
    for (int i = 1; i < label.count(); ++i) EXPECT_EQ(label.cpu_data()[0] + i, label.cpu_data()[i]);
  }
}

TYPED_TEST(HDF5OutputLayerTest, ErrorsNameFileAndDataset) {
  HDF5OutputLayer<typename TypeParam::Dtype> layer(this->param_);
  layer.SetUp({&this->data_, &this->label_}, {});
  layer.Forward({&this->data_, &this->label_}, {});
  EXPECT_TRUE(Contains(ErrorOf([&] { layer.SetUp({&this->data_, &this->label_}, {}); }), "only once"));
  this->data_.Reshape({3, 5});
  string error = ErrorOf([&] { layer.Forward({&this->data_, &this->label_}, {}); });
  EXPECT_TRUE(Contains(error, "layer 'save' (HDF5Output): "));
  EXPECT_TRUE(Contains(error, "dataset '/data' has the shape 3 2 4 1, and 3 5 1 1 cannot be added"));
  this->data_.Reshape({4, 2, 4});
  error = ErrorOf([&] { layer.Forward({&this->data_, &this->label_}, {}); });
  EXPECT_TRUE(Contains(error, "the same number of items"));
}

TYPED_TEST(HDF5OutputLayerTest, AFileThatCannotBeMadeIsAnError) {
  typedef typename TypeParam::Dtype Dtype;
  const auto set_up = [this] {
    HDF5OutputLayer<Dtype> layer(this->param_);
    layer.SetUp({&this->data_, &this->label_}, {});
  };
  this->param_.mutable_hdf5_output_param()->set_file_name(this->folder_ / "none/out.h5");
  EXPECT_TRUE(Contains(ErrorOf(set_up), "none/out.h5'"));
  this->param_.mutable_hdf5_output_param()->clear_file_name();
  EXPECT_TRUE(Contains(ErrorOf(set_up), "file_name is not given"));
}

#endif  // USE_HDF5

}  // namespace caffe
