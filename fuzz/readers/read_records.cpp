// Records of databases, images and means.
#include <string>
#include <vector>

#include "caffe/data_transformer.hpp"
#include "caffe/util/image.hpp"
#include "caffe/util/image_mean.hpp"
#include "caffe/util/io.hpp"
#include "readers.hpp"
#include "scratch.hpp"

namespace caffe {
namespace fuzz {

namespace {

/// A database of one record.
class OneRecord : public db::Cursor {
 public:
  explicit OneRecord(const std::string& value) : value_(value) {}
  void SeekToFirst() override { valid_ = true; }
  void Next() override { valid_ = false; }
  std::string key() override { return "key"; }
  std::string value() override { return value_; }
  bool valid() override { return valid_; }

 private:
  const std::string& value_;
  bool valid_ = true;
};

void Transform(const Datum& datum, const TransformationParameter& param) {
  DataTransformer<float> transformer(param, TRAIN);
  transformer.InitRand();
  Blob<float> blob(transformer.InferBlobShape(datum));
  transformer.Transform(datum, &blob);
}

}  // namespace

void ReadMean(const std::string& bytes) {
  TransformationParameter param;
  param.set_mean_file(WriteScratch("mean.binaryproto", bytes));
  Datum datum = DatumOf(2, 3, 3);
  datum.set_data(std::string(18, 'a'));
  MayRefuse([&] { Transform(datum, param); });
}

void ReadRecord(const std::string& bytes) {
  MayRefuse([&] {
    OneRecord cursor(bytes);
    ImageMean mean;
    mean.AddFrom(&cursor);
    mean.ChannelMeans();
  });
  Datum datum;
  if (!datum.ParseFromString(bytes)) return;
  for (const char* text : {"", "force_color: true", "force_gray: true", "crop_size: 2 mirror: true",
                           "mean_value: 1 mean_value: 2 mean_value: 3"}) {
    MayRefuse([&] { Transform(datum, FromText<TransformationParameter>(text)); });
  }
}

void ReadImageBytes(const std::string& bytes) {
  // Decoding more takes a while, and nothing else.
  constexpr int kMostPixels = 1 << 18;
  for (const ImageChannels channels : {ImageChannels::NATIVE, ImageChannels::COLOR, ImageChannels::GRAY}) {
    MayRefuse([&] {
      const ImageShape shape = ShapeOfImage(bytes, channels, "");
      if (shape.height > kMostPixels / shape.width) return;
      const Image image = DecodeImage(bytes, channels, "");
      CHECK(shape == ImageShape({image.channels, image.height, image.width}))
          << "the header said another shape";
      ResizeImage(image, 3, 5);
    });
  }
}

}  // namespace fuzz
}  // namespace caffe
