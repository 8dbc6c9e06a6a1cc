#include "caffe/layers/image_data_layer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "caffe/test/test_error_util.hpp"
#include "data_layer_test_util.hpp"

namespace caffe {

template <typename TypeParam>
class ImageDataLayerTest : public DataLayerTestBase<TypeParam> {
 protected:
  static constexpr int kImages = 5;

  ImageDataLayerTest() : DataLayerTestBase<TypeParam>("ImageData"), list_(this->folder_ + "/list.txt") {
    string lines;
    for (int i = 0; i < kImages; ++i) {
      // Names with blanks, lines with tabs and from Windows.
      const string name = "image " + std::to_string(i) + ".png";
      Save(name, Plain(6, 7, i));
      lines += name + (i % 2 ? "\t" : " ") + std::to_string(i) + (i == 2 ? "  \r\n\n" : "\n");
    }
    SaveList(lines);
    image_data()->set_source(list_);
    image_data()->set_root_folder(this->folder_ + "/");
    image_data()->set_batch_size(2);
  }

  /// 10 i + 1 in blue, + 2 in green, + 3 in red.
  static Image Plain(int height, int width, int i) {
    Image image(height, width, 3);
    for (size_t j = 0; j < image.pixels.size(); ++j) image.pixels[j] = 10 * i + 1 + j % 3;
    return image;
  }

  void Save(const string& name, const Image& image) {
    std::ofstream(this->folder_ + "/" + name, std::ios::binary) << EncodeImage(image, ImageFormat::PNG);
  }
  void SaveList(const string& lines) { std::ofstream(list_, std::ios::binary) << lines; }
  ImageDataParameter* image_data() { return this->param_.mutable_image_data_param(); }
  string SetUpError() {
    return ErrorOf([&] { this->SetUpLayer(); });
  }

  const string list_;
};

TYPED_TEST_SUITE(ImageDataLayerTest, TestDtypesAndDevices);

TYPED_TEST(ImageDataLayerTest, ReadsTheListAndWraps) {
  const auto layer = this->SetUpLayer();
  EXPECT_EQ((vector<int>{2, 3, 6, 7}), this->data_.shape());
  EXPECT_EQ((vector<int>{2}), this->label_.shape());
  for (int pass = 0; pass < 10; ++pass) {
    layer->Forward({}, this->top_);
    for (int item = 0; item < 2; ++item) {
      const int image = (pass * 2 + item) % this->kImages;
      EXPECT_EQ(image, this->label_.cpu_data()[item]);
      for (int c = 0; c < 3; ++c) EXPECT_EQ(10 * image + 1 + c, this->data_.data_at(item, c, 5, 6));
    }
  }
}

TYPED_TEST(ImageDataLayerTest, ResizesAndGrays) {
  this->image_data()->set_new_height(11);
  this->image_data()->set_new_width(3);
  this->image_data()->set_is_color(false);
  const auto layer = this->SetUpLayer();
  layer->Forward({}, this->top_);
  EXPECT_EQ((vector<int>{2, 1, 11, 3}), this->data_.shape());
  EXPECT_NEAR(12, this->data_.data_at(1, 0, 10, 2), 1);
}

TYPED_TEST(ImageDataLayerTest, Transforms) {
  this->param_.mutable_transform_param()->set_crop_size(4);
  this->param_.mutable_transform_param()->set_scale(0.5);
  const auto layer = this->SetUpLayer();
  layer->Forward({}, this->top_);
  EXPECT_EQ((vector<int>{2, 3, 4, 4}), this->data_.shape());
  EXPECT_EQ(typename TypeParam::Dtype(6.5), this->data_.data_at(1, 2, 3, 3));
}

TYPED_TEST(ImageDataLayerTest, ShufflesEachPassByTheSeed) {
  this->image_data()->set_shuffle(true);
  this->image_data()->set_batch_size(this->kImages);
  const auto run = [this](int seed) {
    Caffe::set_random_seed(seed);
    return this->Labels(this->SetUpLayer().get(), 8);
  };
  const vector<int> labels = run(1701);
  EXPECT_EQ(labels, run(1701));
  EXPECT_NE(labels, run(1702));
  std::set<vector<int>> orders;
  for (int pass = 0; pass < 8; ++pass) {
    vector<int> order(labels.begin() + pass * this->kImages, labels.begin() + (pass + 1) * this->kImages);
    orders.insert(order);
    std::sort(order.begin(), order.end());
    EXPECT_EQ((vector<int>{0, 1, 2, 3, 4}), order);
  }
  EXPECT_GT(orders.size(), 3u);
}

TYPED_TEST(ImageDataLayerTest, RandSkipStartsElsewhere) {
  this->image_data()->set_rand_skip(this->kImages);
  std::set<int> starts;
  for (int seed = 0; seed < 20; ++seed) {
    Caffe::set_random_seed(seed);
    starts.insert(this->Labels(this->SetUpLayer().get(), 1)[0]);
  }
  EXPECT_GT(starts.size(), 2u);
  EXPECT_LT(*starts.rbegin(), this->kImages);
}

TYPED_TEST(ImageDataLayerTest, SingleImagesMayDifferInSize) {
  this->Save("image 1.png", this->Plain(3, 9, 1));
  this->image_data()->set_batch_size(1);
  const auto layer = this->SetUpLayer();
  layer->Forward({}, this->top_);
  EXPECT_EQ((vector<int>{1, 3, 6, 7}), this->data_.shape());
  layer->Forward({}, this->top_);
  EXPECT_EQ((vector<int>{1, 3, 3, 9}), this->data_.shape());
}

TYPED_TEST(ImageDataLayerTest, SetUpErrorsSayWhatToDo) {
  this->image_data()->set_new_height(3);
  EXPECT_TRUE(Contains(this->SetUpError(), "layer 'input' (ImageData): image_data_param has new_height 3"));
  this->image_data()->clear_new_height();
  this->SaveList("image 0.png 0\nimage1.png\n");
  EXPECT_TRUE(Contains(this->SetUpError(), this->list_ + ":2: a line is a file name"));
  this->SaveList("image 0.png 0.5\n");
  EXPECT_TRUE(Contains(this->SetUpError(), ":1:"));
  this->SaveList("image 0.png 99999999999\n");
  EXPECT_TRUE(Contains(this->SetUpError(), ":1:"));
  this->SaveList("\n");
  EXPECT_TRUE(Contains(this->SetUpError(), "is empty"));
  this->SaveList("missing.png 0\n");
  EXPECT_TRUE(Contains(this->SetUpError(), this->list_ + ":1: cannot read '"));
  EXPECT_TRUE(Contains(this->SetUpError(), "missing.png': No such file"));
  this->image_data()->set_source(this->folder_ + "/none.txt");
  EXPECT_TRUE(Contains(this->SetUpError(), "none.txt': No such file"));
  this->image_data()->set_batch_size(0);
  EXPECT_TRUE(Contains(this->SetUpError(), "batch_size is 0"));
}

TYPED_TEST(ImageDataLayerTest, ErrorsOfTheWorkerNameTheImage) {
  this->Save("image 3.png", this->Plain(2, 2, 3));
  const auto layer = this->SetUpLayer();
  EXPECT_EQ((vector<int>{0, 1}), this->Labels(layer.get(), 1));
  const string error = ErrorOf([&] { layer->Forward({}, this->top_); });
  EXPECT_TRUE(Contains(
      error, "layer 'input' (ImageData): " + this->list_ + ":5: image '" + this->folder_ + "/image 3.png'"));
  EXPECT_TRUE(Contains(error, "is 3 x 2 x 2"));
}

TYPED_TEST(ImageDataLayerTest, AnImageThatGoesIsAnErrorOfItsBatch) {
  std::filesystem::remove(this->folder_ + "/image 4.png");
  const auto layer = this->SetUpLayer();
  EXPECT_EQ((vector<int>{0, 1, 2, 3}), this->Labels(layer.get(), 2));
  const string error = ErrorOf([&] { layer->Forward({}, this->top_); });
  EXPECT_TRUE(Contains(error, "image 4.png': No such file"));
  EXPECT_TRUE(Contains(error, this->list_ + ":6:"));
}

TYPED_TEST(ImageDataLayerTest, ErrorsTellTheLineOfShuffledImages) {
  this->image_data()->set_shuffle(true);
  std::filesystem::remove(this->folder_ + "/image 1.png");
  const string error = ErrorOf([this] { this->Labels(this->SetUpLayer().get(), 3); });
  EXPECT_TRUE(Contains(error, this->list_ + ":2: cannot read '"));
}

}  // namespace caffe
