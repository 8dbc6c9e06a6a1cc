#include "caffe/util/image.hpp"

#include <cstdint>
#include <string>

#include "caffe/util/image_codecs.hpp"
#include "caffe/util/input_file.hpp"

namespace caffe {

namespace {

bool StartsWith(const string& bytes, const string& start) {
  return bytes.compare(0, start.size(), start) == 0;
}

/// What bytes of an unknown format seem to be.
string GuessFormat(const string& bytes) {
  if (bytes.empty()) return "it is empty";
  const char* format = StartsWith(bytes, "GIF8")                                            ? "a GIF"
                       : StartsWith(bytes, "BM")                                            ? "a BMP"
                       : StartsWith(bytes, "II*") || StartsWith(bytes, "MM")                ? "a TIFF"
                       : StartsWith(bytes, "RIFF") && bytes.find("WEBP") == 8               ? "a WebP"
                       : StartsWith(bytes, "<") || StartsWith(bytes, "version https://git") ? "a text file"
                                                                                            : nullptr;
  const string convert = "only JPEG and PNG are read: convert it";
  return format ? string("it seems to be ") + format + "; " + convert : "it is neither a JPEG nor a PNG";
}

/// What the function of the bytes' format returns; its errors get the image's name.
template <typename Jpeg, typename Png>
auto OfFormat(const string& bytes, const string& name, Jpeg jpeg, Png png) -> decltype(jpeg()) {
  try {
    switch (FormatOfImage(bytes)) {
      case ImageFormat::JPEG:
        return jpeg();
      case ImageFormat::PNG:
        return png();
      case ImageFormat::UNKNOWN:
        break;
    }
    LOG(FATAL) << GuessFormat(bytes);
  } catch (const Error& error) {
    throw Error("cannot decode the image" + (name.empty() ? "" : " '" + name + "'") + ": " + error.message());
  }
  return {};
}

}  // namespace

Image::Image(int height, int width, int channels)
    : height(height), width(width), channels(channels), pixels(size_t{1} * height * width * channels) {}

ImageFormat FormatOfImage(const string& bytes) {
  if (StartsWith(bytes, "\xff\xd8\xff")) return ImageFormat::JPEG;
  if (StartsWith(bytes, "\x89PNG\r\n\x1a\n")) return ImageFormat::PNG;
  return ImageFormat::UNKNOWN;
}

void CheckImageSize(int64_t height, int64_t width) {
  LOG_IF(FATAL, height < 1 || width < 1 || height > kMaxImagePixels / width)
      << "it is " << width << " x " << height << " pixels, above the limit of " << kMaxImagePixels;
}

void CheckImageIsThere(int64_t height, int64_t width, size_t bytes, int64_t pixels_a_byte) {
  // What a byte can stand for need not be known exactly where memory does not matter.
  constexpr int64_t kSmall = int64_t{1} << 24;
  LOG_IF(FATAL, height * width > kSmall && height * width / pixels_a_byte > static_cast<int64_t>(bytes))
      << "its " << bytes << " bytes cannot hold the " << width << " x " << height
      << " pixels that it says it has: it is damaged, or cut short";
}

Image DecodeImage(const string& bytes, ImageChannels channels, const string& name) {
  return OfFormat(
      bytes, name, [&] { return DecodeJpeg(bytes, channels, name); },
      [&] { return DecodePng(bytes, channels); });
}

ImageShape ShapeOfImage(const string& bytes, ImageChannels channels, const string& name) {
  return OfFormat(
      bytes, name, [&] { return ShapeOfJpeg(bytes, channels); }, [&] { return ShapeOfPng(bytes, channels); });
}

string ReadFileBytes(const string& filename) { return InputFile(filename).Read(SIZE_MAX); }

Image ReadImage(const string& filename, ImageChannels channels) {
  try {
    return DecodeImage(ReadFileBytes(filename), channels, filename);
  } catch (const Error& error) {
    throw error.WithFile(filename);
  }
}

string EncodeImage(const Image& image, ImageFormat format) {
  CHECK(format != ImageFormat::UNKNOWN) << "images are encoded as JPEG or PNG";
  CheckImageSize(image.height, image.width);
  return format == ImageFormat::JPEG ? EncodeJpeg(image) : EncodePng(image);
}

Image GrayOf(const Image& image) {
  if (image.channels == 1) return image;
  constexpr int kShift = 15;
  constexpr int kBlue = 3735, kGreen = 19235, kRed = 9798;
  static_assert(kBlue + kGreen + kRed == 1 << kShift, "white stays white");
  Image gray(image.height, image.width, 1);
  const uint8_t* pixel = image.pixels.data();
  for (uint8_t& luma : gray.pixels) {
    luma = (pixel[0] * kBlue + pixel[1] * kGreen + pixel[2] * kRed + (1 << (kShift - 1))) >> kShift;
    pixel += image.channels;
  }
  return gray;
}

}  // namespace caffe
