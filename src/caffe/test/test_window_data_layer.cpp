#include "caffe/layers/window_data_layer.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "caffe/test/test_error_util.hpp"
#include "data_layer_test_util.hpp"

namespace caffe {

template <typename TypeParam>
class WindowDataLayerTest : public DataLayerTestBase<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;

  WindowDataLayerTest() : DataLayerTestBase<TypeParam>("WindowData"), list_(this->folder_ + "/windows.txt") {
    // Blue tells the column, green the row and red the image.
    for (int i = 0; i < 2; ++i) {
      Image image(12, 16, 3);
      for (int y = 0; y < 12; ++y) {
        for (int x = 0; x < 16; ++x) {
          uint8_t* pixel = image.row(y) + 3 * x;
          pixel[0] = 10 * x;
          pixel[1] = 10 * y;
          pixel[2] = 100 + i;
        }
      }
      std::ofstream(this->folder_ + "/" + std::to_string(i) + ".png", std::ios::binary)
          << EncodeImage(image, ImageFormat::PNG);
    }
    window_data()->set_source(list_);
    window_data()->set_root_folder(this->folder_ + "/");
    window_data()->set_batch_size(1);
    window_data()->set_fg_fraction(1);
    this->param_.mutable_transform_param()->set_crop_size(4);
  }

  WindowDataParameter* window_data() { return this->param_.mutable_window_data_param(); }
  void SaveList(const string& lines) { std::ofstream(list_, std::ios::binary) << lines; }
  /// Windows of image 0.
  void SaveWindows(const vector<string>& windows) {
    string lines = "# 0\n0.png\n3\n12\n16\n" + std::to_string(windows.size()) + "\n";
    for (const string& window : windows) lines += window + "\n";
    SaveList(lines);
  }
  /// The first item of the next pass of a new layer.
  void Serve() {
    const auto layer = this->SetUpLayer();
    layer->Forward({}, this->top_);
  }
  Dtype At(int channel, int row, int column) { return this->data_.data_at(0, channel, row, column); }
  string RunError() {
    return ErrorOf([this] { Serve(); });
  }

  const string list_;
};

TYPED_TEST_SUITE(WindowDataLayerTest, TestDtypesAndDevices);

TYPED_TEST(WindowDataLayerTest, PlacesFarAwayDoNotOverflow) {
  for (const char* crop_mode : {"warp", "square"}) {
    this->window_data()->set_crop_mode(crop_mode);
    this->SaveWindows({"7 0.9 -2147483648 0 2147483647 5"});
    EXPECT_TRUE(
        Contains(this->RunError(), "x1 of a window is expected, a whole number from -16777216 to 16777216"));
    this->SaveWindows({"7 0.9 -16777216 -16777216 16777216 16777216"});
    EXPECT_EQ(this->RunError().empty(), *crop_mode == 's') << "around the image, or outside of it";
  }
}

TYPED_TEST(WindowDataLayerTest, TakesWindowsAsTheyAre) {
  this->SaveWindows({"7 0.9 3 5 6 8"});
  this->Serve();
  EXPECT_EQ((vector<int>{1, 3, 4, 4}), this->data_.shape());
  EXPECT_EQ((vector<int>{1}), this->label_.shape());
  EXPECT_EQ(7, this->label_.cpu_data()[0]);
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 4; ++j) {
      EXPECT_EQ(10 * (3 + j), this->At(0, i, j));
      EXPECT_EQ(10 * (5 + i), this->At(1, i, j));
      EXPECT_EQ(100, this->At(2, i, j));
    }
  }
}

TYPED_TEST(WindowDataLayerTest, WarpsWindowsToTheSquare) {
  this->SaveWindows({"1 1 0 0 7 3"});
  this->Serve();
  // Two columns make one.
  for (int j = 0; j < 4; ++j) EXPECT_NEAR(20 * j + 5, this->At(0, 1, j), 1);
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(10 * i, this->At(1, i, 1), 1);
}

TYPED_TEST(WindowDataLayerTest, SquareShowsWhatIsAround) {
  this->window_data()->set_crop_mode("square");
  // 4 x 2 pixels in the middle: the square has its center, and takes one pixel more on the far sides.
  this->SaveWindows({"1 1 4 5 7 6"});
  this->Serve();
  // Columns 4 to 8 and rows 4 to 8, of which the square makes 4.
  EXPECT_NEAR(41, this->At(0, 0, 0), 2);
  EXPECT_NEAR(79, this->At(0, 0, 3), 2);
  EXPECT_NEAR(41, this->At(1, 0, 0), 2);
  EXPECT_NEAR(79, this->At(1, 3, 0), 2);
}

TYPED_TEST(WindowDataLayerTest, ContextOutsideOfTheImageIsZero) {
  this->window_data()->set_context_pad(1);
  this->SaveWindows({"1 1 0 0 3 3"});
  this->Serve();
  // The window with a border is -2 ... 6, of which 2 of 9 are outside: 0.9 of 4, about 1.
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(0, this->At(2, 0, i));
    EXPECT_EQ(0, this->At(2, i, 0));
  }
  for (int i = 1; i < 4; ++i) EXPECT_EQ(100, this->At(2, i, i));
  EXPECT_NEAR(60 - 7, this->At(0, 2, 3), 4);
}

TYPED_TEST(WindowDataLayerTest, ContextAtTheFarEndIsZeroToo) {
  this->window_data()->set_context_pad(1);
  this->SaveWindows({"1 1 12 8 15 11"});
  this->Serve();
  // 10 ... 18 and 6 ... 14, of which 3 of 9 are outside.
  EXPECT_EQ(100, this->At(2, 0, 0));
  EXPECT_EQ(100, this->At(2, 2, 2));
  EXPECT_EQ(0, this->At(2, 3, 0));
  EXPECT_EQ(0, this->At(2, 0, 3));
}

TYPED_TEST(WindowDataLayerTest, SubtractsTheMeanAndScales) {
  this->SaveWindows({"1 1 3 5 6 8"});
  TransformationParameter* transform = this->param_.mutable_transform_param();
  transform->set_scale(0.5);
  for (const float mean : {1.f, 2.f, 4.f}) transform->add_mean_value(mean);
  this->Serve();
  EXPECT_EQ(14.5, this->At(0, 0, 0));
  EXPECT_EQ(24, this->At(1, 0, 0));
  EXPECT_EQ(48, this->At(2, 0, 0));

  transform->clear_mean_value();
  Blob<float> mean(1, 3, 6, 6);
  for (int i = 0; i < mean.count(); ++i) mean.mutable_cpu_data()[i] = i % 36;
  BlobProto proto;
  mean.ToProto(&proto);
  transform->set_mean_file(this->folder_ + "/mean.binaryproto");
  WriteProtoToBinaryFile(proto, transform->mean_file());
  this->Serve();
  // The middle of the mean.
  EXPECT_EQ((30 - (1 * 6 + 1)) * 0.5, this->At(0, 0, 0));
  EXPECT_EQ((80 - (4 * 6 + 3)) * 0.5, this->At(1, 3, 2));
}

TYPED_TEST(WindowDataLayerTest, MirrorsHalfOfTheWindows) {
  this->SaveWindows({"1 1 3 5 6 8"});
  this->param_.mutable_transform_param()->set_mirror(true);
  const auto layer = this->SetUpLayer();
  int mirrored = 0;
  for (int i = 0; i < 40; ++i) {
    layer->Forward({}, this->top_);
    const bool is_mirrored = this->At(0, 0, 0) == 60;
    mirrored += is_mirrored;
    for (int j = 0; j < 4; ++j) EXPECT_EQ(is_mirrored ? 60 - 10 * j : 30 + 10 * j, this->At(0, 2, j));
  }
  EXPECT_GT(mirrored, 5);
  EXPECT_LT(mirrored, 35);
}

TYPED_TEST(WindowDataLayerTest, MirrorsThePaddingToo) {
  this->SaveWindows({"1 1 0 0 3 3"});
  this->window_data()->set_context_pad(1);
  this->param_.mutable_transform_param()->set_mirror(true);
  const auto layer = this->SetUpLayer();
  std::set<int> zero_columns;
  for (int i = 0; i < 40; ++i) {
    layer->Forward({}, this->top_);
    zero_columns.insert(this->At(2, 2, 0) == 0 ? 0 : 3);
    EXPECT_EQ(0, this->At(2, 2, this->At(2, 2, 0) == 0 ? 0 : 3));
  }
  EXPECT_EQ((std::set<int>{0, 3}), zero_columns);
}

TYPED_TEST(WindowDataLayerTest, MixesForegroundAndBackground) {
  this->SaveList(
      "# 0\n0.png\n3\n12\n16\n4\n5 0.5 0 0 3 3\n5 0.3 0 0 3 3\n6 0.2 1 1 4 4\n5 0 2 2 5 5\n"
      "# 1 1.png 3 12 16 1\n8 1 0 0 3 3\n");
  this->window_data()->set_batch_size(7);
  this->window_data()->set_fg_fraction(0.5);
  this->window_data()->set_bg_threshold(0.3);
  for (const bool cached : {false, true}) {
    this->window_data()->set_cache_images(cached);
    const auto layer = this->SetUpLayer();
    std::set<int> foreground;
    for (int pass = 0; pass < 20; ++pass) {
      layer->Forward({}, this->top_);
      for (int i = 0; i < 7; ++i) {
        const int label = static_cast<int>(this->label_.cpu_data()[i]);
        if (i < 4) {
          EXPECT_EQ(0, label);
          // The window of overlap 0.3 is neither.
          EXPECT_NE(0, this->data_.data_at(i, 0, 0, 0));
        } else {
          foreground.insert(label);
          EXPECT_EQ(label == 8 ? 101 : 100, this->data_.data_at(i, 2, 0, 0));
        }
      }
    }
    EXPECT_EQ((std::set<int>{5, 8}), foreground);
  }
}

TYPED_TEST(WindowDataLayerTest, ReadsGrayImages) {
  this->SaveList("# 0\n0.png\n1\n12\n16\n1\n1 1 3 5 6 8\n");
  this->Serve();
  EXPECT_EQ((vector<int>{1, 1, 4, 4}), this->data_.shape());
}

TYPED_TEST(WindowDataLayerTest, ErrorsNameTheLine) {
  const auto error_of = [this](const string& lines) {
    this->SaveList(lines);
    return this->RunError();
  };
  const string at = "layer 'input' (WindowData): " + this->list_ + ":";
  EXPECT_TRUE(Contains(error_of("0.png\n"), at + "1: '# INDEX' is expected"));
  EXPECT_TRUE(Contains(error_of("# zero\n"), at + "1: the index of an image"));
  EXPECT_TRUE(Contains(error_of("# 0\n0.png\n\n3\n12\n16\n2\n1 1 0 0 3 3\n"), at + "8: the file ends"));
  EXPECT_TRUE(Contains(error_of("# 0\n0.png\n3\n-12\n16\n0\n"), at + "4: the height"));
  EXPECT_TRUE(Contains(error_of("# 0\n0.png\n3\n12\n16\n1\n1 x 0 0 3 3\n"), at + "7: the overlap"));
  EXPECT_TRUE(Contains(error_of("# 0\n0.png\n3\n12\n16\n1\n1 nan 0 0 3 3\n"), at + "7: the overlap"));
  EXPECT_TRUE(Contains(error_of("# 0\n0.png\n3\n12\n16\n1\n1 1 0 0.5 3 3\n"), at + "7: y1"));
  EXPECT_TRUE(Contains(error_of("# 0\n0.png\n3\n12\n16\n1\n1 1 4 0 3 3\n"), at + "7: a window ends before"));
  EXPECT_TRUE(Contains(error_of("# 0\n0.png\n3\n12\n16\n1\n0 1 0 0 3 3\n"), at + "7: a foreground window"));
  EXPECT_TRUE(Contains(error_of("# 0\n0.png\n2\n12\n16\n0\n"), "has 2 channels"));
  EXPECT_TRUE(Contains(error_of("# 0\n0.png\n3\n12\n16\n0\n# 1\n1.png\n1\n12\n16\n0\n"), "before have 3"));
  EXPECT_TRUE(Contains(error_of(""), "is empty"));
  EXPECT_TRUE(Contains(error_of("# 0\n0.png\n3\n12\n16\n1\n1 0.1 0 0 3 3\n"), "fg_threshold 0.5"));
  this->window_data()->set_fg_fraction(0);
  EXPECT_TRUE(Contains(error_of("# 0\n0.png\n3\n12\n16\n1\n1 1 0 0 3 3\n"), "bg_threshold 0.5"));
}

TYPED_TEST(WindowDataLayerTest, ErrorsOfImagesNameThem) {
  this->SaveWindows({"1 1 0 0 16 3"});
  const string outside = this->RunError();
  EXPECT_TRUE(Contains(outside, this->list_ + ": image '" + this->folder_ + "/0.png': the window"));
  EXPECT_TRUE(Contains(outside, "0 0 16 3 lies outside of the image of 16 x 12 pixels"));
  this->SaveWindows({"1 1 0 0 3 3"});
  std::ofstream(this->folder_ + "/0.png") << "no image";
  EXPECT_TRUE(Contains(this->RunError(), "0.png"));
  EXPECT_TRUE(Contains(this->RunError(), "neither a JPEG nor a PNG"));
  std::filesystem::remove(this->folder_ + "/0.png");
  EXPECT_TRUE(Contains(this->RunError(), "0.png': No such file"));
}

TYPED_TEST(WindowDataLayerTest, SetUpErrorsSayWhatToDo) {
  EXPECT_TRUE(Contains(this->RunError(), "windows.txt': No such file"));
  this->window_data()->set_source(this->folder_);
  EXPECT_TRUE(Contains(this->RunError(), "is it a file?"));
  this->window_data()->set_context_pad(2);
  EXPECT_TRUE(Contains(this->RunError(), "context_pad 2 leaves no room"));
  this->param_.mutable_transform_param()->clear_crop_size();
  EXPECT_TRUE(Contains(this->RunError(), "crop_size is 0"));
  this->window_data()->set_crop_mode("round");
  EXPECT_TRUE(Contains(this->RunError(), "'round': use warp or square"));
  this->window_data()->set_fg_fraction(2);
  EXPECT_TRUE(Contains(this->RunError(), "fg_fraction is 2"));
  this->window_data()->set_batch_size(0);
  EXPECT_TRUE(Contains(this->RunError(), "batch_size is 0"));
}

}  // namespace caffe
