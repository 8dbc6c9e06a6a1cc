#include "caffe/util/image_set_converter.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "caffe/test/test_error_util.hpp"
#include "caffe/util/image_list.hpp"
#include "caffe/util/io.hpp"
#include "log_capture.hpp"

namespace caffe {

namespace {

constexpr std::chrono::milliseconds kLong(1000000);

Image Numbered(int number, int height, int width) {
  Image image(height, width, 3);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(i * 5 + number);
  return image;
}

}  // namespace

class ImageSetConverterTest : public ::testing::Test {
 protected:
  ImageSetConverterTest() {
    MakeTempDir(&folder_);
    for (int i = 0; i < 7; ++i) {
      const string name = "image " + std::to_string(i) + ".png";
      Save(name, EncodeImage(Numbered(i, 5, 4), ImageFormat::PNG));
      images_.push_back({name, 10 + i});
    }
  }
  ~ImageSetConverterTest() override { std::filesystem::remove_all(folder_); }

  string Path(const string& name) const { return folder_ + "/" + name; }
  void Save(const string& name, const string& bytes) const {
    std::ofstream(Path(name), std::ios::binary) << bytes;
  }

  struct Result {
    vector<std::pair<string, Datum>> records;
    int64_t written;
    int64_t skipped;
  };

  Result Convert(const ImageDatumOptions& options = {}, bool check_size = false, int threads = 3) {
    const string path = Path("records" + std::to_string(databases_++));
    const std::unique_ptr<db::DB> database(db::GetDB("lmdb"));
    database->Open(path, db::NEW);
    Result result;
    {
      ImageSetConverter converter(images_, folder_ + "/", options, check_size, threads);
      EXPECT_EQ(static_cast<int64_t>(images_.size()), converter.size());
      EXPECT_FALSE(converter.WriteFor(kLong, database.get()));
      result.written = converter.written();
      result.skipped = converter.skipped();
    }
    const std::unique_ptr<db::Cursor> cursor(database->NewCursor());
    for (; cursor->valid(); cursor->Next()) {
      Datum datum;
      EXPECT_TRUE(datum.ParseFromString(cursor->value()));
      result.records.emplace_back(cursor->key(), datum);
    }
    return result;
  }

  string folder_;
  int databases_ = 0;
  vector<ListedImage> images_;
};

TEST_F(ImageSetConverterTest, WritesRecordsInOrder) {
  for (int threads : {1, 4}) {
    const Result result = Convert({}, true, threads);
    EXPECT_EQ(7, result.written);
    ASSERT_EQ(7u, result.records.size());
    for (int i = 0; i < 7; ++i) {
      const auto& [key, datum] = result.records[i];
      EXPECT_EQ("0000000" + std::to_string(i) + "_image " + std::to_string(i) + ".png", key);
      Datum expected;
      SetDatumToImage(Numbered(i, 5, 4), &expected);
      expected.set_label(10 + i);
      EXPECT_EQ(expected.SerializeAsString(), datum.SerializeAsString());
    }
  }
}

TEST_F(ImageSetConverterTest, LeavesOutWhatCannotBeRead) {
  Save("image 2.png", "garbage");
  std::filesystem::remove(Path("image 5.png"));
  LogCapture log;
  const Result result = Convert();
  EXPECT_EQ(5, result.written);
  EXPECT_EQ(2, result.skipped);
  ASSERT_EQ(5u, result.records.size());
  EXPECT_EQ("00000003_image 3.png", result.records[2].first) << "keys are numbers in the list";
  const vector<string> left_out = log.Starting("left out: ");
  ASSERT_EQ(2u, left_out.size());
  EXPECT_TRUE(Contains(left_out[0], Path("image 2.png")));
  EXPECT_TRUE(Contains(left_out[1], Path("image 5.png") + "': No such file"));
}

TEST_F(ImageSetConverterTest, ChecksSizes) {
  Save("image 4.png", EncodeImage(Numbered(4, 4, 5), ImageFormat::PNG));
  EXPECT_EQ(7, Convert().written);
  const string error = ErrorOf([&] { Convert({}, true); });
  EXPECT_TRUE(Contains(error, "'" + Path("image 4.png") + "' is 3 x 4 x 5"));
  EXPECT_TRUE(Contains(error, "before it are 3 x 5 x 4"));
  ImageDatumOptions encoded;
  encoded.encoded = true;
  EXPECT_TRUE(Contains(ErrorOf([&] { Convert(encoded, true); }), "3 x 4 x 5")) << "encoded images too";
  ImageDatumOptions resized;
  resized.height = 3;
  resized.width = 6;
  EXPECT_EQ(7, Convert(resized, true).written);
}

TEST_F(ImageSetConverterTest, GoesOnFromCallToCall) {
  const std::unique_ptr<db::DB> database(db::GetDB("lmdb"));
  database->Open(Path("records"), db::NEW);
  ImageSetConverter converter(images_, folder_ + "/", {}, false, 2);
  for (int i = 1; i <= 7; ++i) {
    EXPECT_TRUE(converter.WriteFor(std::chrono::milliseconds(0), database.get()));
    EXPECT_EQ(i, converter.written());
  }
  EXPECT_FALSE(converter.WriteFor(std::chrono::milliseconds(0), database.get()));
}

TEST_F(ImageSetConverterTest, RefusesWhatCannotBeDone) {
  ImageDatumOptions options;
  options.encoding = "gif";
  EXPECT_TRUE(Contains(ErrorOf([&] { Convert(options); }), "'gif': use jpg or png"));
  options.encoding = "";
  options.height = 3;
  EXPECT_TRUE(Contains(ErrorOf([&] { Convert(options); }), "give both sides"));
  options.width = -1;
  EXPECT_TRUE(Contains(ErrorOf([&] { Convert(options); }), "give both sides"));
}

TEST_F(ImageSetConverterTest, KeepsTheBytesOfAFileThatIsAsWanted) {
  const Image image = Numbered(0, 5, 4);
  const string png = EncodeImage(image, ImageFormat::PNG);
  Save("really png.JPEG", png);
  Save("no extension", png);
  Save("other.bin", png);
  const auto convert = [&](const string& name, const string& encoding, int side = 0) {
    ImageDatumOptions options;
    options.encoded = true;
    options.encoding = encoding;
    options.height = options.width = side;
    Datum datum;
    MakeImageDatum(Path(name), 1, options, &datum);
    EXPECT_TRUE(datum.encoded());
    EXPECT_FALSE(datum.has_channels());
    return datum.data();
  };
  EXPECT_EQ(png, convert("image 0.png", "png"));
  EXPECT_EQ(png, convert("image 0.png", "")) << "a file's own format is as good as any";
  EXPECT_EQ(png, convert("other.bin", "PNG"));
  EXPECT_EQ(png, convert("really png.JPEG", "jpg")) << "as Caffe, which goes by the name";
  EXPECT_EQ(EncodeImage(image, ImageFormat::JPEG), convert("image 0.png", "jpg"));
  const Image small = ResizeImage(image, 3, 3);
  EXPECT_EQ(EncodeImage(small, ImageFormat::PNG), convert("no extension", "", 3));
  EXPECT_EQ(EncodeImage(small, ImageFormat::JPEG), convert("really png.JPEG", "", 3));
}

TEST(ImageListTest, NamesMayHaveBlanks) {
  string file;
  MakeTempFilename(&file);
  std::ofstream(file) << "a b/c d.jpg 3\r\n\nx.png\t -1 \n";
  vector<string> read;
  ReadImageList(file, [&](int number, const string& name, int label) {
    read.push_back(std::to_string(number) + "|" + name + "|" + std::to_string(label));
    return true;
  });
  EXPECT_EQ((vector<string>{"1|a b/c d.jpg|3", "3|x.png|-1"}), read);
}

TEST(ImageListTest, ErrorsNameTheLine) {
  string file;
  MakeTempFilename(&file);
  const auto error_of = [&file] {
    return ErrorOf([&] { ReadImageList(file, [](auto...) { return true; }); });
  };
  EXPECT_TRUE(Contains(error_of(), "cannot read the list of images '" + file + "': No such file"));
  for (const char* line : {"name", "name 1.5", "name 3x", "name 99999999999", " 3"}) {
    std::ofstream(file) << "good 1\n" << line << "\n";
    EXPECT_TRUE(Contains(error_of(), file + ":2: a line is a file name, a blank and an integer label"))
        << line;
  }
  std::filesystem::remove(file);
  std::filesystem::create_directory(file);
  EXPECT_TRUE(Contains(error_of(), "cannot read the list of images '" + file + "'"));
}

}  // namespace caffe
