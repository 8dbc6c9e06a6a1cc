#include <string>
#include <utility>

#include "caffe/util/image.hpp"
#include "caffe/util/io.hpp"
#include "caffe/util/succeeds.hpp"

namespace caffe {

namespace {

/// The image as C x H x W bytes.
void SetImage(const Image& image, Datum* datum) {
  string data(image.pixels.size(), '\0');
  const size_t plane = size_t{1} * image.height * image.width;
  for (int c = 0; c < image.channels; ++c) {
    const uint8_t* in = image.pixels.data() + c;
    char* out = &data[plane * c];
    for (size_t i = 0; i < plane; ++i, in += image.channels) out[i] = static_cast<char>(*in);
  }
  datum->set_channels(image.channels);
  datum->set_height(image.height);
  datum->set_width(image.width);
  datum->set_data(std::move(data));
  datum->clear_float_data();
  datum->set_encoded(false);
}

void SetEncoded(string bytes, Datum* datum) {
  datum->clear_channels();
  datum->clear_height();
  datum->clear_width();
  datum->clear_float_data();
  datum->set_data(std::move(bytes));
  datum->set_encoded(true);
}

ImageFormat FormatNamed(const string& encoding) {
  if (encoding == "jpg" || encoding == "jpeg" || encoding == "JPEG" || encoding == "JPG")
    return ImageFormat::JPEG;
  if (encoding == "png" || encoding == "PNG") return ImageFormat::PNG;
  LOG(FATAL) << "unknown encoding '" << encoding << "': use jpg or png";
  return ImageFormat::UNKNOWN;
}

bool Decode(Datum* datum, ImageChannels channels) {
  if (!datum->encoded()) return false;
  SetImage(DecodeImage(datum->data(), channels, ""), datum);
  return true;
}

}  // namespace

bool ReadFileToDatum(const string& filename, const int label, Datum* datum) {
  return Succeeds([&] {
    SetEncoded(ReadFileBytes(filename), datum);
    datum->set_label(label);
  });
}

bool ReadImageToDatum(const string& filename, const int label, const int height, const int width,
                      const bool is_color, const std::string& encoding, Datum* datum) {
  const ImageFormat format = encoding.empty() ? ImageFormat::UNKNOWN : FormatNamed(encoding);
  return Succeeds([&] {
    string bytes = ReadFileBytes(filename);
    Image image = DecodeImage(bytes, is_color ? ImageChannels::COLOR : ImageChannels::GRAY, filename);
    const bool resize = height > 0 && width > 0;
    if (resize) image = ResizeImage(image, height, width);
    if (format == ImageFormat::UNKNOWN) {
      SetImage(image, datum);
    } else {
      // An image that is as asked for is not encoded a second time, which costs quality.
      const bool keep = !resize && FormatOfImage(bytes) == format;
      SetEncoded(keep ? std::move(bytes) : EncodeImage(image, format), datum);
    }
    datum->set_label(label);
  });
}

bool DecodeDatumNative(Datum* datum) { return Decode(datum, ImageChannels::NATIVE); }

bool DecodeDatum(Datum* datum, bool is_color) {
  return Decode(datum, is_color ? ImageChannels::COLOR : ImageChannels::GRAY);
}

}  // namespace caffe
