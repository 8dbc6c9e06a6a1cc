#ifndef CAFFE_DATA_TRANSFORMER_HPP
#define CAFFE_DATA_TRANSFORMER_HPP

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/image.hpp"
#include "caffe/util/record_random.hpp"

namespace caffe {

/**
 * @brief Makes the input of a net of images: cuts out, mirrors, subtracts a mean and scales.
 *
 * out = scale (in - mean), over a square of crop_size pixels: at a random place in the TRAIN phase, in the
 * middle in the TEST phase. The mean of a mean_file is taken at the same place, before mirroring. With
 * `mirror` an image is flipped left to right in one of two cases, in both phases.
 *
 * Of an image the random numbers are, in this order: mirror, row, column.
 */
template <typename Dtype>
class DataTransformer {
 public:
  /// @throws Error where param contradicts itself or its mean_file cannot be read.
  explicit DataTransformer(const TransformationParameter& param, Phase phase);
  virtual ~DataTransformer() {}

  /// Seeds the transformer's generator from the calling thread's, where random numbers are needed.
  void InitRand();

  /// The transformer's own random numbers, for set_random_state; "" where it needs none.
  string random_state() const;
  /// @throws Error where this is no state of random numbers.
  void set_random_state(const string& state);

  /// Transforms a datum, decoding it if it is encoded, into the first item of the blob, whose shape must be
  /// the one of InferBlobShape but for the number of items.
  void Transform(const Datum& datum, Blob<Dtype>* transformed_blob);
  /// The same for an image.
  void Transform(const Image& image, Blob<Dtype>* transformed_blob);
  /// The same with the numbers of `random` in place of the transformer's own: several threads may do so at a
  /// time.
  void Transform(const Datum& datum, RecordRandom* random, Blob<Dtype>* transformed_blob) const;
  void Transform(const Image& image, RecordRandom* random, Blob<Dtype>* transformed_blob) const;
  /// Transforms each datum into the item of its place; the blob may have more items.
  void Transform(const vector<Datum>& datum_vector, Blob<Dtype>* transformed_blob);
#ifdef USE_OPENCV
  /// The same for images as OpenCV has them, 8 bits a channel.
  void Transform(const cv::Mat& cv_img, Blob<Dtype>* transformed_blob);
  void Transform(const vector<cv::Mat>& mat_vector, Blob<Dtype>* transformed_blob);
  vector<int> InferBlobShape(const cv::Mat& cv_img);
  vector<int> InferBlobShape(const vector<cv::Mat>& mat_vector);
#endif  // USE_OPENCV
  /// Transforms all items with one crop and one flip. A blob of count 0 is shaped.
  void Transform(Blob<Dtype>* input_blob, Blob<Dtype>* transformed_blob);

  /// The shape of the transformed data: 1 (or the number of datums), channels, height, width.
  /// Of an encoded datum the image's header is read.
  vector<int> InferBlobShape(const Datum& datum);
  vector<int> InferBlobShape(const Image& image);
  vector<int> InferBlobShape(const vector<Datum>& datum_vector);
  /// The same for an image of that shape.
  vector<int> InferBlobShape(const ImageShape& shape) const;

 protected:
  /// A number in [0, n). @throws Error where InitRand was not called.
  virtual int Rand(int n);
  /// Transforms a decoded datum.
  void Transform(const Datum& datum, Dtype* transformed_data);

  TransformationParameter param_;
  shared_ptr<Caffe::RNG> rng_;
  Phase phase_;
  Blob<Dtype> data_mean_;
  vector<Dtype> mean_values_;

 private:
  template <typename Value>
  struct View;
  struct Placement;

  template <typename Value>
  static View<Value> PlanesOf(const Value* data, int channels, int height, int width);
  static View<uint8_t> PixelsOf(const Image& image);

  /// Transforms each item into the item of its place.
  template <typename Item>
  void TransformEach(const vector<Item>& items, Blob<Dtype>* transformed_blob) {
    CHECK(!items.empty()) << "there is nothing to transform";
    CHECK_LE(items.size(), transformed_blob->num()) << "more items than the blob has";
    Blob<Dtype> item(1, transformed_blob->channels(), transformed_blob->height(), transformed_blob->width());
    for (size_t i = 0; i < items.size(); ++i) {
      item.set_cpu_data(transformed_blob->mutable_cpu_data() + transformed_blob->offset(static_cast<int>(i)));
      Transform(items[i], &item);
    }
  }
  /// The image of an encoded datum, in the number of channels that the parameters ask for.
  Image Decode(const Datum& datum) const;
  vector<int> ShapeOf(int channels, int height, int width) const;
  void CheckShape(const Blob<Dtype>& blob, const vector<int>& shape) const;
  void CheckMean(int channels, int height, int width) const;
  ImageChannels DecodedChannels() const;
  vector<int> DatumShape(const Datum& datum) const;
  /// Takes crop and flip from draw(n), a number in [0, n).
  template <typename Draw>
  Placement Place(int channels, int height, int width, Draw draw) const;
  template <typename Draw>
  void TransformDatum(const Datum& datum, Draw draw, Blob<Dtype>* transformed_blob) const;
  template <typename Draw>
  void TransformImage(const Image& image, Draw draw, Blob<Dtype>* transformed_blob) const;
  template <typename Draw>
  void TransformValues(const Datum& datum, Draw draw, Dtype* transformed_data) const;
  template <typename Value>
  void Apply(const View<Value>& in, const Placement& placement, Dtype* out) const;
};

}  // namespace caffe

#endif  // CAFFE_DATA_TRANSFORMER_HPP
