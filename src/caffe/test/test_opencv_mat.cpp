#ifdef USE_OPENCV
#include <fstream>
#include <opencv2/core/core.hpp>
#include <string>
#include <vector>

#include "caffe/data_transformer.hpp"
#include "caffe/layers/memory_data_layer.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "caffe/util/image.hpp"
#include "caffe/util/io.hpp"
#include "layer_test_util.hpp"

namespace caffe {

/// Images of 3 x 4 pixels whose bytes count from `start`.
class OpenCvMatTest : public ::testing::Test {
 protected:
  static cv::Mat Counting(int channels, int start = 0) {
    cv::Mat mat(3, 4, CV_8UC(channels));
    for (int i = 0; i < 12 * channels; ++i) mat.data[i] = static_cast<uint8_t>(start + i);
    return mat;
  }
  static string PngOf(const cv::Mat& mat) {
    Image image(mat.rows, mat.cols, mat.channels());
    std::copy_n(mat.data, image.pixels.size(), image.pixels.begin());
    return EncodeImage(image, ImageFormat::PNG);
  }
  static bool Equal(const cv::Mat& a, const cv::Mat& b) {
    return a.size() == b.size() && a.type() == b.type() &&
           std::equal(a.data, a.data + a.total() * a.elemSize(), b.data);
  }
};

TEST_F(OpenCvMatTest, ReadsFiles) {
  string file;
  MakeTempFilename(&file);
  const cv::Mat color = Counting(3);
  std::ofstream(file, std::ios::binary) << PngOf(color);
  EXPECT_TRUE(Equal(ReadImageToCVMat(file), color));
  EXPECT_TRUE(Equal(ReadImageToCVMat(file, true), color));
  EXPECT_EQ(ReadImageToCVMat(file, false).channels(), 1);
  EXPECT_EQ(ReadImageToCVMat(file, 6, 8).size(), cv::Size(8, 6));
  EXPECT_EQ(ReadImageToCVMat(file, 6, 8, false).type(), CV_8UC1);
  EXPECT_TRUE(ReadImageToCVMat(file + ".none").empty());
}

TEST_F(OpenCvMatTest, GoesToDatumAndBack) {
  Datum datum;
  CVMatToDatum(Counting(3), &datum);
  EXPECT_EQ(datum.channels(), 3);
  EXPECT_EQ(datum.height(), 3);
  EXPECT_EQ(datum.width(), 4);
  // Planes of a datum, pixels of a cv::Mat.
  EXPECT_EQ(datum.data()[0], 0);
  EXPECT_EQ(datum.data()[1], 3);
  EXPECT_EQ(datum.data()[12], 1);
  EXPECT_THROW(DecodeDatumToCVMatNative(datum), Error);
  datum.set_data(PngOf(Counting(1)));
  datum.set_encoded(true);
  EXPECT_TRUE(Equal(DecodeDatumToCVMatNative(datum), Counting(1)));
  EXPECT_EQ(DecodeDatumToCVMat(datum, true).channels(), 3);
  datum.set_data("no image");
  EXPECT_TRUE(DecodeDatumToCVMat(datum, true).empty());
  EXPECT_THROW(CVMatToDatum(cv::Mat(), &datum), Error);
  EXPECT_THROW(CVMatToDatum(cv::Mat(3, 4, CV_32FC3), &datum), Error);
}

TEST_F(OpenCvMatTest, TransformsAsADatumOfTheSameImage) {
  TransformationParameter param;
  param.set_scale(0.5);
  param.set_crop_size(2);
  DataTransformer<double> transformer(param, TEST);
  const vector<cv::Mat> mats = {Counting(3), Counting(3, 100)};
  vector<Datum> datums(2);
  for (int i = 0; i < 2; ++i) CVMatToDatum(mats[i], &datums[i]);
  EXPECT_EQ(transformer.InferBlobShape(mats), transformer.InferBlobShape(datums));
  EXPECT_EQ(transformer.InferBlobShape(mats[0]), transformer.InferBlobShape(datums[0]));
  Blob<double> of_mats(transformer.InferBlobShape(mats)), of_datums(of_mats.shape());
  transformer.Transform(mats, &of_mats);
  transformer.Transform(datums, &of_datums);
  EXPECT_EQ(DataOf(of_mats), DataOf(of_datums));
  // A part of an image, whose rows do not follow each other in memory.
  cv::Mat large(10, 10, CV_8UC3, cv::Scalar(0, 0, 0));
  mats[0].copyTo(large(cv::Rect(2, 3, 4, 3)));
  Blob<double> of_part(transformer.InferBlobShape(mats[0])), whole(of_part.shape());
  transformer.Transform(large(cv::Rect(2, 3, 4, 3)), &of_part);
  transformer.Transform(mats[0], &whole);
  EXPECT_EQ(DataOf(of_part), DataOf(whole));
}

TEST_F(OpenCvMatTest, IsServedFromMemory) {
  LayerRun<float> run("type: 'MemoryData' memory_data_param { batch_size: 2 channels: 1 height: 3 width: 4 }",
                      {}, 2);
  run.SetUp();
  auto& layer = dynamic_cast<MemoryDataLayer<float>&>(*run.layer);
  EXPECT_THROW(layer.AddMatVector({Counting(1)}, {5}), Error);
  EXPECT_THROW(layer.AddMatVector({Counting(1), Counting(1)}, {5}), Error);
  layer.AddMatVector({Counting(1), Counting(1, 50)}, {5, 6});
  run.Forward();
  EXPECT_EQ(run.tops[0]->data_at({0, 0, 2, 3}), 11);
  EXPECT_EQ(run.tops[0]->data_at({1, 0, 0, 0}), 50);
  EXPECT_EQ(DataOf(*run.tops[1]), (vector<float>{5, 6}));
}

}  // namespace caffe
#endif  // USE_OPENCV
