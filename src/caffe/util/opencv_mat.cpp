// The functions that take images as OpenCV has them, on those that take them as the engine does.
#ifdef USE_OPENCV
#include <algorithm>
#include <opencv2/core/core.hpp>
#include <string>

#include "caffe/data_transformer.hpp"
#include "caffe/util/image.hpp"
#include "caffe/util/image_datum.hpp"
#include "caffe/util/io.hpp"
#include "caffe/util/succeeds.hpp"

namespace caffe {

namespace {

Image ImageOf(const cv::Mat& mat) {
  CHECK(!mat.empty() && mat.dims == 2) << "there is no image in the cv::Mat";
  CHECK_EQ(mat.depth(), CV_8U) << "the image must have 8 bits a channel (CV_8U)";
  Image image(mat.rows, mat.cols, mat.channels());
  for (int y = 0; y < mat.rows; ++y) std::copy_n(mat.ptr<uint8_t>(y), image.row_bytes(), image.row(y));
  return image;
}

cv::Mat MatOf(const Image& image) {
  cv::Mat mat(image.height, image.width, CV_8UC(image.channels));
  for (int y = 0; y < image.height; ++y) std::copy_n(image.row(y), image.row_bytes(), mat.ptr<uint8_t>(y));
  return mat;
}

// The image that make() returns; an empty one, after its logged error, where it throws.
template <typename Make>
cv::Mat MatOrEmpty(Make make) {
  cv::Mat mat;
  Succeeds([&] { mat = MatOf(make()); });
  return mat;
}

ImageChannels ChannelsOf(bool is_color) { return is_color ? ImageChannels::COLOR : ImageChannels::GRAY; }

cv::Mat DecodeMat(const Datum& datum, ImageChannels channels) {
  CHECK(datum.encoded()) << "the datum does not hold an encoded image";
  return MatOrEmpty([&] { return DecodeImage(datum.data(), channels, ""); });
}

}  // namespace

cv::Mat ReadImageToCVMat(const string& filename, const int height, const int width, const bool is_color) {
  return MatOrEmpty([&] {
    const Image image = ReadImage(filename, ChannelsOf(is_color));
    return height > 0 && width > 0 ? ResizeImage(image, height, width) : image;
  });
}

cv::Mat ReadImageToCVMat(const string& filename, const int height, const int width) {
  return ReadImageToCVMat(filename, height, width, true);
}

cv::Mat ReadImageToCVMat(const string& filename, const bool is_color) {
  return ReadImageToCVMat(filename, 0, 0, is_color);
}

cv::Mat ReadImageToCVMat(const string& filename) { return ReadImageToCVMat(filename, 0, 0, true); }

cv::Mat DecodeDatumToCVMatNative(const Datum& datum) { return DecodeMat(datum, ImageChannels::NATIVE); }

cv::Mat DecodeDatumToCVMat(const Datum& datum, bool is_color) {
  return DecodeMat(datum, ChannelsOf(is_color));
}

void CVMatToDatum(const cv::Mat& cv_img, Datum* datum) { SetDatumToImage(ImageOf(cv_img), datum); }

template <typename Dtype>
void DataTransformer<Dtype>::Transform(const cv::Mat& cv_img, Blob<Dtype>* transformed_blob) {
  Transform(ImageOf(cv_img), transformed_blob);
}

template <typename Dtype>
void DataTransformer<Dtype>::Transform(const vector<cv::Mat>& mat_vector, Blob<Dtype>* transformed_blob) {
  TransformEach(mat_vector, transformed_blob);
}

template <typename Dtype>
vector<int> DataTransformer<Dtype>::InferBlobShape(const cv::Mat& cv_img) {
  return InferBlobShape(ImageShape{cv_img.channels(), cv_img.rows, cv_img.cols});
}

template <typename Dtype>
vector<int> DataTransformer<Dtype>::InferBlobShape(const vector<cv::Mat>& mat_vector) {
  CHECK(!mat_vector.empty()) << "there is no image";
  vector<int> shape = InferBlobShape(mat_vector[0]);
  shape[0] = static_cast<int>(mat_vector.size());
  return shape;
}

#define INSTANTIATE_MAT(Dtype)                                                           \
  template void DataTransformer<Dtype>::Transform(const cv::Mat&, Blob<Dtype>*);         \
  template void DataTransformer<Dtype>::Transform(const vector<cv::Mat>&, Blob<Dtype>*); \
  template vector<int> DataTransformer<Dtype>::InferBlobShape(const cv::Mat&);           \
  template vector<int> DataTransformer<Dtype>::InferBlobShape(const vector<cv::Mat>&)
INSTANTIATE_MAT(float);
INSTANTIATE_MAT(double);

}  // namespace caffe
#endif  // USE_OPENCV
