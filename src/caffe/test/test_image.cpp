#include "caffe/util/image.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_error_util.hpp"
#include "caffe/util/io.hpp"

namespace caffe {

namespace {

/// Pixels without a pattern that a mistake could leave unchanged.
Image Pattern(int height, int width, int channels) {
  Image image(height, width, channels);
  for (uint64_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = (i * i * 7 + i * 31) % 251;
  return image;
}

/// Smooth, for a lossy codec to keep.
Image Gradient(int height, int width, int channels) {
  Image image(height, width, channels);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width * channels; ++x)
      image.row(y)[x] = 3 * y + 2 * (x / channels) + 40 * (x % channels);
  }
  return image;
}

/// FNV-1a of the pixels.
uint32_t Hash(const Image& image) {
  uint32_t hash = 2166136261u;
  for (const uint8_t byte : image.pixels) hash = (hash ^ byte) * 16777619u;
  return hash;
}

int LargestDifference(const Image& a, const Image& b) {
  EXPECT_EQ(a.pixels.size(), b.pixels.size());
  int largest = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i)
    largest = std::max(largest, std::abs(a.pixels[i] - b.pixels[i]));
  return largest;
}

/// A PNG's header with another size.
string WithSize(string png, uint32_t width, uint32_t height) {
  for (int i = 0; i < 4; ++i) {
    png[16 + i] = static_cast<char>(width >> (24 - 8 * i));
    png[20 + i] = static_cast<char>(height >> (24 - 8 * i));
  }
  uint32_t crc = ~0u;
  for (int i = 12; i < 29; ++i) {
    crc ^= static_cast<uint8_t>(png[i]);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0xEDB88320u : 0);
  }
  for (int i = 0; i < 4; ++i) png[29 + i] = static_cast<char>(~crc >> (24 - 8 * i));
  return png;
}

string DecodeError(const string& bytes) {
  return ErrorOf([&] { DecodeImage(bytes, ImageChannels::COLOR, "cat.jpg"); });
}

}  // namespace

TEST(ImageTest, ResizesAsOpenCV) {
  EXPECT_EQ(
      (vector<uint8_t>{0,   13,  35, 64,  94,  132, 156, 94, 80,  57,  91,  128, 121, 117, 236, 180, 90, 133,
                       178, 104, 58, 211, 167, 96,  83,  82, 114, 133, 194, 158, 100, 49,  18,  120, 184}),
      ResizeImage(Pattern(3, 4, 1), 5, 7).pixels);
  // Made with cv2.resize.
  EXPECT_EQ(2166520672u, Hash(ResizeImage(Pattern(37, 53, 3), 64, 64)));
  EXPECT_EQ(2945948782u, Hash(ResizeImage(Pattern(37, 53, 3), 20, 31)));
  EXPECT_EQ(2373414451u, Hash(ResizeImage(Pattern(36, 54, 3), 18, 27)));
  EXPECT_EQ(3370484223u, Hash(ResizeImage(Pattern(1, 1, 1), 3, 3)));
  EXPECT_EQ(440905500u, Hash(ResizeImage(Pattern(40, 10, 1), 20, 20)));
}

TEST(ImageTest, ResizeKeepsTheSize) {
  EXPECT_EQ(Pattern(5, 7, 3).pixels, ResizeImage(Pattern(5, 7, 3), 5, 7).pixels);
}

TEST(ImageTest, ResizeNeedsPixels) {
  EXPECT_TRUE(Contains(ErrorOf([] { ResizeImage(Pattern(5, 7, 3), 0, 9); }), "9 x 0"));
  EXPECT_THROW(ResizeImage(Image(), 5, 5), Error);
}

TEST(ImageTest, GrayAsOpenCV) {
  EXPECT_EQ(1763219152u, Hash(GrayOf(Pattern(37, 53, 3))));
  Image white(1, 1, 3);
  white.pixels = {255, 255, 255};
  EXPECT_EQ(255, GrayOf(white).pixels[0]);
}

TEST(ImageTest, PngKeepsEveryPixel) {
  for (const int channels : {1, 3, 4}) {
    const Image image = Pattern(13, 11, channels);
    const string bytes = EncodeImage(image, ImageFormat::PNG);
    EXPECT_EQ(ImageFormat::PNG, FormatOfImage(bytes));
    const Image decoded = DecodeImage(bytes, ImageChannels::NATIVE, "");
    EXPECT_EQ(13, decoded.height);
    EXPECT_EQ(11, decoded.width);
    ASSERT_EQ(channels, decoded.channels);
    EXPECT_EQ(image.pixels, decoded.pixels);
  }
}

TEST(ImageTest, ChannelsAsAsked) {
  for (const ImageFormat format : {ImageFormat::PNG, ImageFormat::JPEG}) {
    const Image color = Gradient(16, 24, 3), gray = Gradient(16, 24, 1);
    const string color_bytes = EncodeImage(color, format), gray_bytes = EncodeImage(gray, format);
    EXPECT_EQ(3, DecodeImage(color_bytes, ImageChannels::NATIVE, "").channels);
    EXPECT_EQ(1, DecodeImage(gray_bytes, ImageChannels::NATIVE, "").channels);
    const Image grayed = DecodeImage(color_bytes, ImageChannels::GRAY, "");
    ASSERT_EQ(1, grayed.channels);
    EXPECT_LE(LargestDifference(GrayOf(color), grayed), format == ImageFormat::PNG ? 1 : 4);
    const Image colored = DecodeImage(gray_bytes, ImageChannels::COLOR, "");
    ASSERT_EQ(3, colored.channels);
    EXPECT_LE(LargestDifference(gray, GrayOf(colored)), format == ImageFormat::PNG ? 0 : 4);
  }
}

TEST(ImageTest, JpegIsCloseAndBlueFirst) {
  const Image image = Gradient(33, 17, 3);
  const Image decoded = DecodeImage(EncodeImage(image, ImageFormat::JPEG), ImageChannels::COLOR, "");
  ASSERT_EQ(3, decoded.channels);
  EXPECT_LE(LargestDifference(image, decoded), 12);
}

TEST(ImageTest, TheShapeIsToldWithoutDecoding) {
  for (const int channels : {1, 3, 4}) {
    for (const ImageFormat format : {ImageFormat::PNG, ImageFormat::JPEG}) {
      if (channels == 4 && format == ImageFormat::JPEG) continue;
      const string bytes = EncodeImage(Gradient(9, 6, channels), format);
      for (const auto asked : {ImageChannels::NATIVE, ImageChannels::GRAY, ImageChannels::COLOR}) {
        const Image image = DecodeImage(bytes, asked, "");
        const ImageShape shape = ShapeOfImage(bytes, asked, "");
        EXPECT_TRUE((ImageShape{image.channels, 9, 6} == shape)) << channels;
      }
    }
  }
  EXPECT_TRUE(Contains(ErrorOf([] { ShapeOfImage("GIF89a", ImageChannels::COLOR, "a.gif"); }), "'a.gif'"));
}

TEST(ImageTest, ErrorsNameTheImage) {
  EXPECT_TRUE(Contains(DecodeError(""), "'cat.jpg': it is empty"));
  EXPECT_TRUE(Contains(DecodeError("GIF89a..."), "seems to be a GIF; only JPEG and PNG"));
  EXPECT_TRUE(Contains(DecodeError("garbage"), "'cat.jpg': it is neither a JPEG nor a PNG"));
  EXPECT_TRUE(Contains(DecodeError("\xff\xd8\xff garbage"), "'cat.jpg'"));
  EXPECT_TRUE(Contains(DecodeError("\x89PNG\r\n\x1a\n garbage"), "'cat.jpg'"));
}

TEST(ImageTest, DamagedImagesNeverCrash) {
  for (const ImageFormat format : {ImageFormat::PNG, ImageFormat::JPEG}) {
    const string whole = EncodeImage(Gradient(40, 50, 3), format);
    logging::SetSink([](logging::Severity, const string&, const string&) {});
    int errors = 0;
    const auto decode = [&errors](const string& bytes) {
      try {
        DecodeImage(bytes, ImageChannels::COLOR, "x");
      } catch (const Error&) {
        ++errors;
      }
    };
    for (size_t size = 0; size < whole.size(); size += 7) decode(whole.substr(0, size));
    EXPECT_GT(errors, 10);
    for (size_t i = 0; i < whole.size(); i += 3) {
      string flipped = whole;
      flipped[i] = static_cast<char>(~flipped[i]);
      decode(flipped);
    }
    logging::SetSink(nullptr);
  }
}

TEST(ImageTest, ACutPngIsAnErrorAndACutJpegAWarning) {
  const Image image = Gradient(64, 64, 3);
  string bytes = EncodeImage(image, ImageFormat::PNG);
  EXPECT_TRUE(Contains(DecodeError(bytes.substr(0, bytes.size() / 2)), "'cat.jpg': it is cut short"));
  bytes = EncodeImage(image, ImageFormat::JPEG);
  string warning;
  logging::SetSink([&](logging::Severity, const string&, const string& message) { warning += message; });
  const Image decoded = DecodeImage(bytes.substr(0, bytes.size() / 2), ImageChannels::COLOR, "cat.jpg");
  logging::SetSink(nullptr);
  EXPECT_EQ(64, decoded.height);
  EXPECT_TRUE(Contains(warning, "cat.jpg is damaged"));
}

TEST(ImageTest, RefusesSizesThatWouldFillTheMemory) {
  const string png = EncodeImage(Gradient(4, 4, 3), ImageFormat::PNG);
  EXPECT_TRUE(
      Contains(DecodeError(WithSize(png, 100000, 100000)), "100000 x 100000 pixels, above the limit"));
  string jpeg = EncodeImage(Gradient(4, 4, 3), ImageFormat::JPEG);
  const size_t frame = jpeg.find("\xff\xc0");
  ASSERT_NE(string::npos, frame);
  jpeg.replace(frame + 5, 4, "\xff\xdc\xff\xdc");
  EXPECT_TRUE(Contains(DecodeError(jpeg), "65500 x 65500 pixels, above the limit"));
  // Below the limit, and far more than a small file can hold.
  jpeg.replace(frame + 5, 4, "\x20\x20\x20\x20");
  EXPECT_TRUE(Contains(DecodeError(jpeg), "cannot hold the 8224 x 8224 pixels"));
  EXPECT_TRUE(Contains(DecodeError(WithSize(png, 8224, 8224)), "cannot hold the 8224 x 8224 pixels"));
  EXPECT_TRUE(Contains(ErrorOf([&] { ShapeOfImage(jpeg, ImageChannels::NATIVE, ""); }), "cannot hold"))
      << "nor is memory made ready for them";
}

TEST(ImageTest, LargeFlatImagesAreDecoded) {
  const Image flat(5000, 5000, 3);
  for (const ImageFormat format : {ImageFormat::PNG, ImageFormat::JPEG}) {
    const Image decoded = DecodeImage(EncodeImage(flat, format), ImageChannels::NATIVE, "");
    EXPECT_EQ(decoded.pixels.size(), flat.pixels.size());
  }
}

TEST(ImageTest, AJpegOfManyScansIsRefused) {
  // A progressive JPEG of 8 x 8 gray pixels, without the scans that refine it: first the whole, then the same
  // bits again and again.
  using namespace std::string_literals;
  const string start = "\xff\xd8\xff\xdb\0\x43\0"s + string(64, '\x01') +
                       "\xff\xc2\0\x0b\x08\0\x08\0\x08\x01\x01\x11\0"s + "\xff\xc4\0\x14\0\x01"s +
                       string(15, '\0') + "\0"s;
  const string first = "\xff\xda\0\x08\x01\x01\0\0\0\x01\x3f"s,
               again = "\xff\xda\0\x08\x01\x01\0\0\0\x10\x3f"s;
  string jpeg = start + first;
  EXPECT_EQ(DecodeError(jpeg + "\xff\xd9"), "");
  for (int i = 0; i < 600; ++i) jpeg += again;
  EXPECT_TRUE(Contains(DecodeError(jpeg + "\xff\xd9"), "more than 500 scans"));
}

TEST(ImageTest, ABeginningOfAFormatIsNone) {
  for (const char* bytes : {"RIFF", "RIFF1234WEB", "GIF", "B", "\xff\xd8"}) {
    EXPECT_TRUE(Contains(DecodeError(bytes), "neither a JPEG nor a PNG")) << bytes;
  }
  EXPECT_TRUE(Contains(DecodeError("RIFF1234WEBP"), "a WebP"));
}

TEST(ImageTest, EncodingChecksChannels) {
  EXPECT_TRUE(
      Contains(ErrorOf([] { EncodeImage(Pattern(2, 2, 4), ImageFormat::JPEG); }), "encode it as PNG"));
  EXPECT_THROW(EncodeImage(Pattern(2, 2, 2), ImageFormat::PNG), Error);
  EXPECT_THROW(EncodeImage(Image(), ImageFormat::PNG), Error);
}

class ImageDatumTest : public ::testing::Test {
 protected:
  ImageDatumTest() {
    MakeTempDir(&folder_);
    Save("image.png", EncodeImage(image_, ImageFormat::PNG));
  }
  ~ImageDatumTest() override { std::filesystem::remove_all(folder_); }

  string Path(const string& name) const { return folder_ + "/" + name; }
  void Save(const string& name, const string& bytes) { std::ofstream(Path(name), std::ios::binary) << bytes; }

  /// The datum's value at a place, as the image has it.
  static uint8_t At(const Datum& datum, int y, int x, int c) {
    return datum.data()[(c * datum.height() + y) * datum.width() + x];
  }

  string folder_;
  const Image image_ = Pattern(6, 5, 3);
};

TEST_F(ImageDatumTest, ReadsAFileAsItIs) {
  Datum datum;
  ASSERT_TRUE(ReadFileToDatum(Path("image.png"), 3, &datum));
  EXPECT_TRUE(datum.encoded());
  EXPECT_EQ(3, datum.label());
  EXPECT_EQ(EncodeImage(image_, ImageFormat::PNG), datum.data());
  ASSERT_TRUE(ReadFileToDatum(Path("image.png"), &datum));
  EXPECT_EQ(-1, datum.label());
}

TEST_F(ImageDatumTest, ReadsPlanes) {
  Datum datum;
  datum.add_float_data(1);
  ASSERT_TRUE(ReadImageToDatum(Path("image.png"), 7, &datum));
  EXPECT_FALSE(datum.encoded());
  EXPECT_EQ(7, datum.label());
  EXPECT_EQ(0, datum.float_data_size());
  ASSERT_EQ(3, datum.channels());
  ASSERT_EQ(6, datum.height());
  ASSERT_EQ(5, datum.width());
  for (int y = 0; y < 6; ++y) {
    for (int x = 0; x < 5; ++x) {
      for (int c = 0; c < 3; ++c) EXPECT_EQ(image_.row(y)[x * 3 + c], At(datum, y, x, c));
    }
  }
}

TEST_F(ImageDatumTest, ResizesAndGrays) {
  Datum datum;
  ASSERT_TRUE(ReadImageToDatum(Path("image.png"), 7, 9, 4, &datum));
  EXPECT_EQ(9, datum.height());
  EXPECT_EQ(4, datum.width());
  EXPECT_EQ(ResizeImage(image_, 9, 4).row(8)[11], At(datum, 8, 3, 2));
  ASSERT_TRUE(ReadImageToDatum(Path("image.png"), 7, false, &datum));
  EXPECT_EQ(1, datum.channels());
  EXPECT_EQ(30u, datum.data().size());
}

TEST_F(ImageDatumTest, EncodesAndDecodes) {
  Datum datum;
  ASSERT_TRUE(ReadImageToDatum(Path("image.png"), 7, string("png"), &datum));
  EXPECT_TRUE(datum.encoded());
  EXPECT_EQ(EncodeImage(image_, ImageFormat::PNG), datum.data());
  ASSERT_TRUE(ReadImageToDatum(Path("image.png"), 7, 9, 4, true, "png", &datum));
  Datum resized = datum;
  EXPECT_TRUE(DecodeDatumNative(&resized));
  EXPECT_FALSE(resized.encoded());
  EXPECT_EQ(9, resized.height());
  EXPECT_EQ(7, resized.label());
  EXPECT_FALSE(DecodeDatumNative(&resized));
  EXPECT_TRUE(DecodeDatum(&datum, false));
  EXPECT_EQ(1, datum.channels());
  ASSERT_TRUE(ReadImageToDatum(Path("image.png"), 7, string("jpg"), &datum));
  EXPECT_EQ(ImageFormat::JPEG, FormatOfImage(datum.data()));
  EXPECT_TRUE(Contains(ErrorOf([&] { ReadImageToDatum(Path("image.png"), 7, string("gif"), &datum); }),
                       "'gif': use jpg or png"));
}

TEST_F(ImageDatumTest, LogsWhatCannotBeRead) {
  Save("garbage.jpg", "garbage");
  string logged;
  logging::SetSink(
      [&](logging::Severity, const string&, const string& message) { logged += message + "\n"; });
  Datum datum;
  EXPECT_FALSE(ReadImageToDatum(Path("missing.jpg"), 0, &datum));
  EXPECT_FALSE(ReadFileToDatum(Path("missing.png"), 0, &datum));
  EXPECT_FALSE(ReadImageToDatum(Path("garbage.jpg"), 0, &datum));
  EXPECT_FALSE(ReadFileToDatum(folder_, 0, &datum));
  logging::SetSink(nullptr);
  EXPECT_TRUE(Contains(logged, "missing.jpg': No such file"));
  EXPECT_TRUE(Contains(logged, "missing.png': No such file"));
  EXPECT_TRUE(Contains(logged, "garbage.jpg': it is neither"));
  EXPECT_TRUE(Contains(logged, folder_));
  datum.set_encoded(true);
  EXPECT_TRUE(Contains(ErrorOf([&] { DecodeDatum(&datum, true); }), "cannot decode"));
}

}  // namespace caffe
