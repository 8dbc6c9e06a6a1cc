#include "caffe/layers/memory_data_layer.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_error_util.hpp"

namespace caffe {

template <typename TypeParam>
class MemoryDataLayerTest : public MultiDeviceTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;

  MemoryDataLayerTest() {
    param_.set_name("input");
    param_.set_type("MemoryData");
    MemoryDataParameter* memory = param_.mutable_memory_data_param();
    memory->set_batch_size(2);
    memory->set_channels(3);
    memory->set_height(2);
    memory->set_width(5);
    for (int i = 0; i < 6 * 30; ++i) values_.push_back(i * Dtype(0.5));
    for (int i = 0; i < 6; ++i) labels_.push_back(i);
  }

  void SetUpLayer() {
    layer_ = std::make_shared<MemoryDataLayer<Dtype>>(param_);
    layer_->SetUp({}, top_);
  }

  /// Datum i: all bytes i, label i.
  static vector<Datum> Datums(int count, int height = 2, int width = 5) {
    vector<Datum> datums(count);
    for (int i = 0; i < count; ++i) {
      datums[i].set_channels(3);
      datums[i].set_height(height);
      datums[i].set_width(width);
      datums[i].set_data(string(3 * height * width, static_cast<char>(i)));
      datums[i].set_label(i);
    }
    return datums;
  }

  string ForwardError() {
    return ErrorOf([&] { layer_->Forward({}, top_); });
  }

  LayerParameter param_;
  shared_ptr<MemoryDataLayer<Dtype>> layer_;
  Blob<Dtype> data_, label_;
  vector<Blob<Dtype>*> top_{&data_, &label_};
  vector<Dtype> values_, labels_;
};

TYPED_TEST_SUITE(MemoryDataLayerTest, TestDtypesAndDevices);

TYPED_TEST(MemoryDataLayerTest, ShapesItsTops) {
  this->SetUpLayer();
  EXPECT_EQ((vector<int>{2, 3, 2, 5}), this->data_.shape());
  EXPECT_EQ((vector<int>{2}), this->label_.shape());
  EXPECT_EQ(2, this->layer_->batch_size());
  EXPECT_EQ(3, this->layer_->channels());
  EXPECT_EQ(2, this->layer_->height());
  EXPECT_EQ(5, this->layer_->width());
}

TYPED_TEST(MemoryDataLayerTest, ServesTheCallersMemoryAndWraps) {
  this->SetUpLayer();
  this->layer_->Reset(this->values_.data(), this->labels_.data(), 6);
  for (int pass = 0; pass < 7; ++pass) {
    this->layer_->Forward({}, this->top_);
    EXPECT_EQ(this->values_.data() + pass % 3 * 60, this->data_.cpu_data());
    EXPECT_EQ(this->labels_.data() + pass % 3 * 2, this->label_.cpu_data());
  }
}

TYPED_TEST(MemoryDataLayerTest, ServesDatumsTransformed) {
  this->param_.mutable_transform_param()->set_scale(2);
  this->param_.mutable_transform_param()->set_crop_size(2);
  this->param_.mutable_memory_data_param()->set_width(2);
  this->SetUpLayer();
  this->layer_->AddDatumVector(this->Datums(4, 3, 5));
  for (int pass = 0; pass < 3; ++pass) {
    this->layer_->Forward({}, this->top_);
    EXPECT_EQ((vector<int>{2, 3, 2, 2}), this->data_.shape());
    for (int i = 0; i < 24; ++i) EXPECT_EQ((pass * 2 % 4 + i / 12) * 2, this->data_.cpu_data()[i]);
    EXPECT_EQ(pass * 2 % 4 + 1, this->label_.cpu_data()[1]);
  }
}

TYPED_TEST(MemoryDataLayerTest, NewDatumsWaitForTheOldOnes) {
  this->SetUpLayer();
  this->layer_->AddDatumVector(this->Datums(4));
  this->layer_->Forward({}, this->top_);
  EXPECT_TRUE(Contains(ErrorOf([&] { this->layer_->AddDatumVector(this->Datums(2)); }), "has been consumed"));
  EXPECT_TRUE(Contains(ErrorOf([&] { this->layer_->set_batch_size(4); }), "has been consumed"));
  this->layer_->Forward({}, this->top_);
  this->layer_->AddDatumVector(this->Datums(2));
  this->layer_->Forward({}, this->top_);
  EXPECT_EQ(0, this->label_.cpu_data()[0]);
}

TYPED_TEST(MemoryDataLayerTest, TheBatchSizeCanChange) {
  this->SetUpLayer();
  this->layer_->set_batch_size(3);
  this->layer_->Reset(this->values_.data(), this->labels_.data(), 6);
  this->layer_->Forward({}, this->top_);
  EXPECT_EQ((vector<int>{3, 3, 2, 5}), this->data_.shape());
  EXPECT_EQ((vector<int>{3}), this->label_.shape());
  this->layer_->set_batch_size(4);
  EXPECT_TRUE(Contains(this->ForwardError(), "no multiple of the batch size 4"));
  EXPECT_TRUE(Contains(ErrorOf([&] { this->layer_->set_batch_size(0); }), "positive"));
}

TYPED_TEST(MemoryDataLayerTest, ErrorsSayWhatToDo) {
  this->SetUpLayer();
  EXPECT_TRUE(Contains(this->ForwardError(), "layer 'input' (MemoryData): there is no data: call Reset"));
  EXPECT_TRUE(Contains(ErrorOf([&] { this->layer_->Reset(this->values_.data(), this->labels_.data(), 5); }),
                       "5, must be a multiple of the batch size 2"));
  EXPECT_THROW(this->layer_->Reset(this->values_.data(), this->labels_.data(), 0), Error);
  EXPECT_TRUE(
      Contains(ErrorOf([&] { this->layer_->Reset(nullptr, this->labels_.data(), 2); }), "needs data"));
  EXPECT_TRUE(Contains(ErrorOf([&] { this->layer_->AddDatumVector({}); }), "nothing to add"));
  EXPECT_TRUE(Contains(ErrorOf([&] { this->layer_->AddDatumVector(this->Datums(3)); }),
                       "3, must be a multiple of the batch size 2"));
  this->param_.mutable_memory_data_param()->clear_width();
  EXPECT_TRUE(Contains(ErrorOf([&] { this->SetUpLayer(); }), "they are 2, 3, 2 and 0"));
}

TYPED_TEST(MemoryDataLayerTest, ADamagedDatumLeavesNoHalfOfTheData) {
  this->SetUpLayer();
  vector<Datum> datums = this->Datums(4);
  datums[3].clear_data();
  EXPECT_TRUE(Contains(ErrorOf([&] { this->layer_->AddDatumVector(datums); }), "holds 0 values"));
  EXPECT_TRUE(Contains(this->ForwardError(), "there is no data"));
  this->layer_->AddDatumVector(this->Datums(4));
  this->layer_->Forward({}, this->top_);
  EXPECT_EQ(1, this->label_.cpu_data()[1]);
}

}  // namespace caffe
