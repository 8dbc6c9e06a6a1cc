#include "caffe/data_transformer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_error_util.hpp"
#include "caffe/util/io.hpp"

namespace caffe {

template <typename Dtype>
class DataTransformerTest : public ::testing::Test {
 protected:
  static constexpr int kChannels = 3, kHeight = 4, kWidth = 5;

  /// Counts up in row-major order.
  static Datum Counting(int channels = kChannels, int height = kHeight, int width = kWidth) {
    Datum datum;
    datum.set_channels(channels);
    datum.set_height(height);
    datum.set_width(width);
    for (int i = 0; i < channels * height * width; ++i) datum.mutable_data()->push_back(static_cast<char>(i));
    return datum;
  }

  /// The value that Counting has at a place.
  static int Value(int c, int y, int x) { return (c * kHeight + y) * kWidth + x; }

  vector<Dtype> Transformed(DataTransformer<Dtype>* transformer, const Datum& datum) {
    Blob<Dtype> blob(transformer->InferBlobShape(datum));
    transformer->Transform(datum, &blob);
    return {blob.cpu_data(), blob.cpu_data() + blob.count()};
  }

  vector<Dtype> Transformed(const TransformationParameter& param, const Datum& datum, Phase phase = TEST) {
    Caffe::set_random_seed(1701);
    DataTransformer<Dtype> transformer(param, phase);
    transformer.InitRand();
    return Transformed(&transformer, datum);
  }

  string ErrorFor(const TransformationParameter& param, const Datum& datum) {
    return ErrorOf([&] { Transformed(param, datum, TRAIN); });
  }

  /// A mean that differs at every place.
  string MeanFile(int height = kHeight, int num = 1) {
    Blob<Dtype> mean(num, kChannels, height, kWidth);
    for (int i = 0; i < mean.count(); ++i) mean.mutable_cpu_data()[i] = i % 7;
    BlobProto proto;
    mean.ToProto(&proto);
    string name;
    MakeTempFilename(&name);
    WriteProtoToBinaryFile(proto, name);
    return name;
  }

  TransformationParameter param_;
};

TYPED_TEST_SUITE(DataTransformerTest, TestDtypes);

TYPED_TEST(DataTransformerTest, CopiesBytesWithoutSign) {
  Datum datum = this->Counting(1, 16, 16);
  const auto out = this->Transformed(this->param_, datum);
  for (int i = 0; i < 256; ++i) EXPECT_EQ(i, out[i]);
}

TYPED_TEST(DataTransformerTest, TakesFloatData) {
  Datum datum = this->Counting(1, 1, 2);
  datum.clear_data();
  datum.add_float_data(-1.5f);
  datum.add_float_data(300.25f);
  const auto out = this->Transformed(this->param_, datum);
  EXPECT_EQ(TypeParam(-1.5), out[0]);
  EXPECT_EQ(TypeParam(300.25), out[1]);
}

TYPED_TEST(DataTransformerTest, SubtractsAMeanPerChannelAndScales) {
  this->param_.set_scale(0.5f);
  for (const float mean : {1.f, 2.f, 4.f}) this->param_.add_mean_value(mean);
  auto out = this->Transformed(this->param_, this->Counting());
  for (int i = 0; i < 60; ++i) EXPECT_EQ(TypeParam((i - (1 << (i / 20))) * 0.5), out[i]);
  this->param_.clear_mean_value();
  this->param_.add_mean_value(3);
  out = this->Transformed(this->param_, this->Counting());
  for (int i = 0; i < 60; ++i) EXPECT_EQ(TypeParam((i - 3) * 0.5), out[i]);
}

TYPED_TEST(DataTransformerTest, TestCropsTheMiddle) {
  this->param_.set_crop_size(2);
  const auto out = this->Transformed(this->param_, this->Counting());
  ASSERT_EQ(12u, out.size());
  for (int i = 0; i < 12; ++i) EXPECT_EQ(this->Value(i / 4, 1 + i / 2 % 2, 1 + i % 2), out[i]);
}

TYPED_TEST(DataTransformerTest, TrainCropsEveryPlace) {
  this->param_.set_crop_size(3);
  DataTransformer<TypeParam> transformer(this->param_, TRAIN);
  Caffe::set_random_seed(1701);
  transformer.InitRand();
  std::set<TypeParam> corners;
  for (int i = 0; i < 200; ++i) {
    const auto out = this->Transformed(&transformer, this->Counting());
    corners.insert(out[0]);
    for (int j = 0; j < 27; ++j) EXPECT_EQ(out[0] + this->Value(j / 9, j / 3 % 3, j % 3), out[j]);
  }
  EXPECT_EQ((std::set<TypeParam>{0, 1, 2, 5, 6, 7}), corners);
}

TYPED_TEST(DataTransformerTest, TheSeedDecides) {
  this->param_.set_crop_size(1);
  this->param_.set_mirror(true);
  const auto draw = [this](int seed) {
    Caffe::set_random_seed(seed);
    DataTransformer<TypeParam> transformer(this->param_, TRAIN);
    transformer.InitRand();
    vector<TypeParam> drawn;
    for (int i = 0; i < 20; ++i) drawn.push_back(this->Transformed(&transformer, this->Counting())[0]);
    return drawn;
  };
  EXPECT_EQ(draw(1), draw(1));
  EXPECT_NE(draw(1), draw(2));
}

TYPED_TEST(DataTransformerTest, MirrorsAboutHalf) {
  this->param_.set_mirror(true);
  for (const Phase phase : {TRAIN, TEST}) {
    Caffe::set_random_seed(1701);
    DataTransformer<TypeParam> transformer(this->param_, phase);
    transformer.InitRand();
    int mirrored = 0;
    for (int i = 0; i < 100; ++i) {
      const auto out = this->Transformed(&transformer, this->Counting());
      const bool flipped = out[0] != 0;
      mirrored += flipped;
      for (int j = 0; j < 60; ++j) EXPECT_EQ(flipped ? j / 5 * 5 + 4 - j % 5 : j, out[j]);
    }
    EXPECT_GT(mirrored, 25);
    EXPECT_LT(mirrored, 75);
  }
}

TYPED_TEST(DataTransformerTest, TheMeanIsThatOfThePlace) {
  this->param_.set_mean_file(this->MeanFile());
  this->param_.set_crop_size(2);
  this->param_.set_mirror(true);
  Caffe::set_random_seed(1701);
  DataTransformer<TypeParam> transformer(this->param_, TRAIN);
  transformer.InitRand();
  for (int i = 0; i < 50; ++i) {
    // Value v has the mean v % 7, so that v - mean is a multiple of 7 at each right place.
    for (const TypeParam value : this->Transformed(&transformer, this->Counting())) {
      EXPECT_EQ(0, static_cast<int>(value) % 7);
    }
  }
}

TYPED_TEST(DataTransformerTest, DecodesImages) {
  Image image(4, 5, 3);
  for (int i = 0; i < 60; ++i) image.pixels[i] = i % 20 * 3 + i;
  Datum datum;
  datum.set_data(EncodeImage(image, ImageFormat::PNG));
  datum.set_encoded(true);
  Datum decoded = datum;
  DecodeDatumNative(&decoded);
  this->param_.add_mean_value(7);
  this->param_.set_crop_size(3);
  EXPECT_EQ(this->Transformed(this->param_, decoded), this->Transformed(this->param_, datum));
  this->param_.set_force_gray(true);
  decoded = datum;
  DecodeDatum(&decoded, false);
  EXPECT_EQ(this->Transformed(this->param_, decoded), this->Transformed(this->param_, datum));
  datum.set_data(EncodeImage(GrayOf(image), ImageFormat::PNG));
  this->param_.set_force_gray(false);
  EXPECT_EQ(9u, this->Transformed(this->param_, datum).size());
  this->param_.set_force_color(true);
  EXPECT_EQ(27u, this->Transformed(this->param_, datum).size());
  datum.set_data("garbage");
  EXPECT_TRUE(Contains(this->ErrorFor(this->param_, datum), "neither a JPEG nor a PNG"));
}

TYPED_TEST(DataTransformerTest, TransformsVectors) {
  DataTransformer<TypeParam> transformer(this->param_, TEST);
  const vector<Datum> datums{this->Counting(), this->Counting()};
  EXPECT_EQ((vector<int>{2, 3, 4, 5}), transformer.InferBlobShape(datums));
  Blob<TypeParam> blob(3, 3, 4, 5);
  blob.mutable_cpu_data()[120] = 99;
  transformer.Transform(datums, &blob);
  for (int i = 0; i < 120; ++i) EXPECT_EQ(i % 60, blob.cpu_data()[i]);
  EXPECT_EQ(99, blob.cpu_data()[120]);
  Blob<TypeParam> small(1, 3, 4, 5);
  EXPECT_TRUE(Contains(ErrorOf([&] { transformer.Transform(datums, &small); }), "2 vs. 1"));
  EXPECT_TRUE(
      Contains(ErrorOf([&] { transformer.Transform(vector<Datum>(), &small); }), "nothing to transform"));
  EXPECT_TRUE(Contains(ErrorOf([&] { transformer.InferBlobShape(vector<Datum>()); }), "no datum"));
}

TYPED_TEST(DataTransformerTest, TransformsBlobsAndLeavesThemAsTheyAre) {
  this->param_.set_crop_size(2);
  this->param_.set_scale(2);
  this->param_.add_mean_value(1);
  DataTransformer<TypeParam> transformer(this->param_, TEST);
  Blob<TypeParam> in(2, 3, 4, 5), out;
  for (int i = 0; i < in.count(); ++i) in.mutable_cpu_data()[i] = i;
  transformer.Transform(&in, &out);
  EXPECT_EQ((vector<int>{2, 3, 2, 2}), out.shape());
  for (int i = 0; i < out.count(); ++i) {
    EXPECT_EQ((i / 12 * 60 + this->Value(i / 4 % 3, 1 + i / 2 % 2, 1 + i % 2) - 1) * 2, out.cpu_data()[i]);
  }
  for (int i = 0; i < in.count(); ++i) EXPECT_EQ(i, in.cpu_data()[i]);
  Blob<TypeParam> one(1, 3, 2, 2);
  EXPECT_THROW(transformer.Transform(&in, &one), Error);
}

TYPED_TEST(DataTransformerTest, ErrorsGiveTheNumbers) {
  this->param_.set_crop_size(6);
  EXPECT_TRUE(Contains(this->ErrorFor(this->param_, this->Counting()),
                       "crop_size 6 is larger than the image of 4 x 5"));
  this->param_.clear_crop_size();
  this->param_.add_mean_value(1);
  this->param_.add_mean_value(2);
  EXPECT_TRUE(Contains(this->ErrorFor(this->param_, this->Counting()), "2 mean_values, and the image 3"));
  this->param_.set_mean_file("mean.binaryproto");
  EXPECT_TRUE(Contains(this->ErrorFor(this->param_, this->Counting()), "mean_file and mean_value"));
  this->param_.clear_mean_value();
  EXPECT_TRUE(Contains(this->ErrorFor(this->param_, this->Counting()), "mean.binaryproto"));
  this->param_.set_mean_file(this->MeanFile(3));
  EXPECT_TRUE(Contains(this->ErrorFor(this->param_, this->Counting()), "is 3 x 3 x 5"));
  this->param_.set_mean_file(this->MeanFile(this->kHeight, 0));
  EXPECT_TRUE(Contains(this->ErrorFor(this->param_, this->Counting()),
                       this->param_.mean_file() + ": a mean image needs pixels"));
  this->param_.clear_mean_file();
  this->param_.set_force_color(true);
  this->param_.set_force_gray(true);
  EXPECT_TRUE(Contains(this->ErrorFor(this->param_, this->Counting()), "force_color and force_gray"));
}

TYPED_TEST(DataTransformerTest, RefusesDatumsThatDoNotHoldWhatTheySay) {
  Datum datum = this->Counting();
  datum.mutable_data()->pop_back();
  EXPECT_TRUE(
      Contains(this->ErrorFor(this->param_, datum), "3 x 4 x 5 (channels x height x width), and holds 59"));
  EXPECT_THROW(this->Transformed(this->param_, Datum()), Error);
  datum.set_channels(1 << 30);
  datum.set_height(1 << 30);
  datum.set_width(1 << 30);
  EXPECT_THROW(this->Transformed(this->param_, datum), Error);
  datum.set_channels(-3);
  EXPECT_THROW(this->Transformed(this->param_, datum), Error);
}

TYPED_TEST(DataTransformerTest, RefusesAnotherSizeThanTheBlobs) {
  DataTransformer<TypeParam> transformer(this->param_, TEST);
  Blob<TypeParam> blob(1, 3, 4, 4);
  EXPECT_TRUE(Contains(ErrorOf([&] { transformer.Transform(this->Counting(), &blob); }),
                       "is 3 x 4 x 5 (channels x height x width) after the transformation, and the data blob "
                       "takes 3 x 4 x 4"));
}

TYPED_TEST(DataTransformerTest, RandomNumbersNeedInitRand) {
  this->param_.set_mirror(true);
  DataTransformer<TypeParam> transformer(this->param_, TEST);
  EXPECT_TRUE(Contains(ErrorOf([&] { this->Transformed(&transformer, this->Counting()); }), "InitRand"));
}

}  // namespace caffe
