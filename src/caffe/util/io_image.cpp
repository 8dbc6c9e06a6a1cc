#include <string>

#include "caffe/util/image.hpp"
#include "caffe/util/image_datum.hpp"
#include "caffe/util/io.hpp"
#include "caffe/util/succeeds.hpp"

namespace caffe {

namespace {

bool Decode(Datum* datum, ImageChannels channels) {
  if (!datum->encoded()) return false;
  SetDatumToImage(DecodeImage(datum->data(), channels, ""), datum);
  return true;
}

}  // namespace

bool ReadFileToDatum(const string& filename, const int label, Datum* datum) {
  return Succeeds([&] {
    SetDatumToEncoded(ReadFileBytes(filename), datum);
    datum->set_label(label);
  });
}

bool ReadImageToDatum(const string& filename, const int label, const int height, const int width,
                      const bool is_color, const std::string& encoding, Datum* datum) {
  ImageDatumOptions options;
  if (height > 0 && width > 0) {
    options.height = height;
    options.width = width;
  }
  options.color = is_color;
  options.encoded = !encoding.empty();
  options.encoding = encoding;
  CheckImageDatumOptions(options);
  return Succeeds([&] { MakeImageDatum(filename, label, options, datum); });
}

bool DecodeDatumNative(Datum* datum) { return Decode(datum, ImageChannels::NATIVE); }

bool DecodeDatum(Datum* datum, bool is_color) {
  return Decode(datum, is_color ? ImageChannels::COLOR : ImageChannels::GRAY);
}

}  // namespace caffe
