#include "caffe/util/image_mean.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "caffe/test/test_error_util.hpp"
#include "caffe/util/image_datum.hpp"
#include "layer_test_util.hpp"

namespace caffe {

namespace {

/// Records in memory.
class Records : public db::Cursor {
 public:
  explicit Records(vector<string> values) : values_(std::move(values)) {}
  void SeekToFirst() override { at_ = 0; }
  void Next() override { ++at_; }
  string key() override { return "key " + std::to_string(at_); }
  string value() override { return values_[at_]; }
  bool valid() override { return at_ < values_.size(); }

 private:
  const vector<string> values_;
  size_t at_ = 0;
};

Image RandomImage(int height, int width, int channels, std::mt19937* random) {
  Image image(height, width, channels);
  for (uint8_t& pixel : image.pixels) pixel = static_cast<uint8_t>((*random)());
  return image;
}

Datum DatumOf(const Image& image) {
  Datum datum;
  SetDatumToImage(image, &datum);
  return datum;
}

void AddAll(vector<string> values, ImageMean* mean) {
  Records records(std::move(values));
  while (mean->AddFrom(&records) > 0) continue;
}

string ErrorOfRecords(const vector<Datum>& data) {
  vector<string> values;
  for (const Datum& datum : data) values.push_back(datum.SerializeAsString());
  ImageMean mean;
  return ErrorOf([&] { AddAll(values, &mean); });
}

}  // namespace

TEST(ImageMeanTest, IsTheMean) {
  std::mt19937 random(1);
  constexpr int kImages = 9001, kHeight = 3, kWidth = 5;
  vector<string> values;
  vector<int64_t> sums(3 * kHeight * kWidth);
  for (int i = 0; i < kImages; ++i) {
    const Image image = RandomImage(kHeight, kWidth, 3, &random);
    Datum datum = DatumOf(image);
    for (size_t j = 0; j < sums.size(); ++j) sums[j] += static_cast<uint8_t>(datum.data()[j]);
    if (i % 2 == 1) SetDatumToEncoded(EncodeImage(image, ImageFormat::PNG), &datum);
    values.push_back(datum.SerializeAsString());
  }
  for (int threads : {1, 3}) {
    const ThreadsForTest set(threads);
    ImageMean mean;
    AddAll(values, &mean);
    EXPECT_EQ(kImages, mean.count());
    const BlobProto blob = mean.Mean();
    EXPECT_EQ(1, blob.num());
    EXPECT_EQ(3, blob.channels());
    EXPECT_EQ(kHeight, blob.height());
    EXPECT_EQ(kWidth, blob.width());
    EXPECT_FALSE(blob.has_shape());
    ASSERT_EQ(static_cast<int>(sums.size()), blob.data_size());
    for (size_t j = 0; j < sums.size(); ++j)
      EXPECT_EQ(static_cast<float>(static_cast<double>(sums[j]) / kImages), blob.data(j));
    const vector<double> channels = mean.ChannelMeans();
    ASSERT_EQ(3u, channels.size());
    for (int c = 0; c < 3; ++c) {
      double sum = 0;
      for (int j = 0; j < kHeight * kWidth; ++j) sum += sums[c * kHeight * kWidth + j];
      EXPECT_DOUBLE_EQ(sum / kImages / (kHeight * kWidth), channels[c]);
    }
  }
}

TEST(ImageMeanTest, OfLargeImagesInSeveralBlocks) {
  std::mt19937 random(2);
  const Image first = RandomImage(70, 65, 3, &random), second = RandomImage(70, 65, 3, &random);
  const Datum a = DatumOf(first), b = DatumOf(second);
  ImageMean mean;
  AddAll({a.SerializeAsString(), b.SerializeAsString()}, &mean);
  const BlobProto blob = mean.Mean();
  for (int i = 0; i < blob.data_size(); ++i)
    ASSERT_EQ((static_cast<uint8_t>(a.data()[i]) + static_cast<uint8_t>(b.data()[i])) / 2.f, blob.data(i));
}

TEST(ImageMeanTest, SumsFloatsAsDoubles) {
  // As floats, the sum would lose all but the first.
  vector<string> values;
  for (float value : {16777216.f, 1.f, 1.f, 1.f}) {
    Datum datum;
    datum.set_channels(1);
    datum.set_height(1);
    datum.set_width(1);
    datum.add_float_data(value);
    values.push_back(datum.SerializeAsString());
  }
  ImageMean mean;
  AddAll(values, &mean);
  EXPECT_EQ(16777219. / 4, mean.ChannelMeans()[0]);
}

TEST(ImageMeanTest, ErrorsNameTheRecord) {
  Datum good = DatumOf(Image(2, 3, 3));
  Datum other = DatumOf(Image(3, 2, 3));
  EXPECT_TRUE(Contains(ErrorOfRecords({good, other}), "'key 1' is 3 x 3 x 2"));
  EXPECT_TRUE(Contains(ErrorOfRecords({good, other}), "before it are 3 x 2 x 3"));
  Datum cut = good;
  cut.mutable_data()->pop_back();
  EXPECT_TRUE(Contains(ErrorOfRecords({good, good, cut}), "'key 2' cannot be used: it has 17 values"));
  Datum encoded;
  SetDatumToEncoded("\xff\xd8\xff garbage", &encoded);
  EXPECT_TRUE(Contains(ErrorOfRecords({encoded}), "'key 0' cannot be used: cannot decode the image"));
  // A shape whose product, in 64 bits, is the number of values again.
  Datum huge;
  huge.set_channels(1 << 24);
  huge.set_height(1 << 20);
  huge.set_width(1 << 20);
  EXPECT_TRUE(Contains(ErrorOfRecords({huge}), "it has 0 values"));
  EXPECT_TRUE(Contains(ErrorOfRecords({Datum()}), "it has 0 values"));
  ImageMean mean;
  EXPECT_TRUE(Contains(ErrorOf([&] { AddAll({"\x0a\xff"}, &mean); }), "it is not a Datum"));
  EXPECT_TRUE(Contains(ErrorOf([&] { mean.Mean(); }), "there are no images"));
  EXPECT_TRUE(Contains(ErrorOf([&] { mean.ChannelMeans(); }), "there are no images"));
}

}  // namespace caffe
