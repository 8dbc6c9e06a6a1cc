#include "caffe/util/image_datum.hpp"

#include <algorithm>
#include <cctype>
#include <string>
#include <utility>

#include "caffe/util/device_alternate.hpp"

namespace caffe {

namespace {

/// The format of that name, in any case; UNKNOWN for other names.
ImageFormat FormatNamed(string name) {
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  if (name == "jpg" || name == "jpeg") return ImageFormat::JPEG;
  return name == "png" ? ImageFormat::PNG : ImageFormat::UNKNOWN;
}

ImageFormat FormatOfName(const string& filename) {
  const size_t dot = filename.rfind('.');
  return dot == string::npos ? ImageFormat::UNKNOWN : FormatNamed(filename.substr(dot + 1));
}

/// What an encoded datum holds.
string EncodedBytes(const string& filename, const ImageDatumOptions& options, bool resized,
                    const Image& image, string bytes) {
  const ImageFormat of_content = FormatOfImage(bytes);
  const ImageFormat of_name = FormatOfName(filename);
  ImageFormat wanted = FormatNamed(options.encoding);
  if (wanted == ImageFormat::UNKNOWN) wanted = of_name == ImageFormat::UNKNOWN ? of_content : of_name;
  // An image that is as asked for is not encoded a second time, which costs quality.
  const bool keep = !resized && (wanted == of_content || wanted == of_name);
  return keep ? std::move(bytes) : EncodeImage(image, wanted);
}

CAFFE_TARGET_CLONES void SplitColors(const uint8_t* pixels, size_t count, char* __restrict__ blue,
                                     char* __restrict__ green, char* __restrict__ red) {
  for (size_t i = 0; i < count; ++i) {
    blue[i] = static_cast<char>(pixels[3 * i]);
    green[i] = static_cast<char>(pixels[3 * i + 1]);
    red[i] = static_cast<char>(pixels[3 * i + 2]);
  }
}

}  // namespace

void CheckImageDatumOptions(const ImageDatumOptions& options) {
  LOG_IF(FATAL, !options.encoding.empty() && FormatNamed(options.encoding) == ImageFormat::UNKNOWN)
      << "unknown encoding '" << options.encoding << "': use jpg or png";
  LOG_IF(FATAL, options.height < 0 || options.width < 0 || (options.height == 0) != (options.width == 0))
      << "images cannot be resized to " << options.width << " x " << options.height
      << " pixels: give both sides, or neither";
}

ImageShape MakeImageDatum(const string& filename, int label, const ImageDatumOptions& options, Datum* datum) {
  try {
    string bytes = ReadFileBytes(filename);
    Image image = DecodeImage(bytes, options.color ? ImageChannels::COLOR : ImageChannels::GRAY, filename);
    const bool resize = options.height > 0;
    if (resize) image = ResizeImage(image, options.height, options.width);
    if (options.encoded) {
      SetDatumToEncoded(EncodedBytes(filename, options, resize, image, std::move(bytes)), datum);
    } else {
      SetDatumToImage(image, datum);
    }
    datum->set_label(label);
    return {image.channels, image.height, image.width};
  } catch (const Error& error) {
    throw error.WithFile(filename);
  }
}

void SetDatumToImage(const Image& image, Datum* datum) {
  string data(image.pixels.size(), '\0');
  const size_t plane = size_t{1} * image.height * image.width;
  if (image.channels == 3) {
    SplitColors(image.pixels.data(), plane, &data[0], &data[plane], &data[2 * plane]);
  } else {
    for (int c = 0; c < image.channels; ++c) {
      const uint8_t* in = image.pixels.data() + c;
      char* out = &data[plane * c];
      for (size_t i = 0; i < plane; ++i, in += image.channels) out[i] = static_cast<char>(*in);
    }
  }
  datum->set_channels(image.channels);
  datum->set_height(image.height);
  datum->set_width(image.width);
  datum->set_data(std::move(data));
  datum->clear_float_data();
  datum->set_encoded(false);
}

void SetDatumToEncoded(string bytes, Datum* datum) {
  datum->clear_channels();
  datum->clear_height();
  datum->clear_width();
  datum->clear_float_data();
  datum->set_data(std::move(bytes));
  datum->set_encoded(true);
}

}  // namespace caffe
