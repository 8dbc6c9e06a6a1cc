#include "caffe/data_transformer.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "caffe/util/image_mean.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/rng.hpp"

namespace caffe {

/// An image in memory, and how many values lie between neighbors along its axes.
template <typename Dtype>
template <typename Value>
struct DataTransformer<Dtype>::View {
  const Value* data;
  int channels;
  int height;
  int width;
  ptrdiff_t plane_stride;
  ptrdiff_t row_stride;
  ptrdiff_t column_stride;
};

/// The part of an image that is taken.
template <typename Dtype>
struct DataTransformer<Dtype>::Placement {
  int top;
  int left;
  int height;
  int width;
  bool mirror;
};

namespace {

string SizeOf(int channels, int height, int width) {
  return std::to_string(channels) + " x " + std::to_string(height) + " x " + std::to_string(width);
}

void CheckDatum(const Datum& datum) {
  const int64_t channels = datum.channels(), height = datum.height(), width = datum.width();
  const bool positive = channels > 0 && height > 0 && width > 0;
  const size_t held = datum.data().empty() ? datum.float_data_size() : datum.data().size();
  const bool fits = positive && height <= INT_MAX / channels && width <= INT_MAX / (channels * height) &&
                    static_cast<size_t>(channels * height * width) == held;
  LOG_IF(FATAL, !fits) << "a record says it is " << SizeOf(channels, height, width)
                       << " (channels x height x width), and holds " << held
                       << (held == 1 ? " value" : " values")
                       << ": it is damaged, or an encoded image that lacks 'encoded'";
}

}  // namespace

template <typename Dtype>
DataTransformer<Dtype>::DataTransformer(const TransformationParameter& param, Phase phase)
    : param_(param), phase_(phase) {
  LOG_IF(FATAL, param_.force_color() && param_.force_gray())
      << "transform_param has force_color and force_gray: give one of them";
  LOG_IF(FATAL, param_.has_mean_file() && param_.mean_value_size() > 0)
      << "transform_param has mean_file and mean_value: give one of them";
  if (param_.has_mean_file()) {
    LOG_IF(INFO, Caffe::root_solver()) << "Loading mean file from: " << param_.mean_file();
    ReadImageMean(param_.mean_file(), &data_mean_);
  }
  mean_values_.assign(param_.mean_value().begin(), param_.mean_value().end());
}

template <typename Dtype>
void DataTransformer<Dtype>::InitRand() {
  const bool needed = param_.mirror() || (phase_ == TRAIN && param_.crop_size() > 0);
  // Nets of solvers that train together are made with the same random numbers.
  rng_ = needed ? std::make_shared<Caffe::RNG>(caffe_rng_rand() + Caffe::solver_rank()) : nullptr;
}

template <typename Dtype>
string DataTransformer<Dtype>::random_state() const {
  return rng_ ? TextOfRandom(*static_cast<rng_t*>(rng_->generator())) : "";
}

template <typename Dtype>
void DataTransformer<Dtype>::set_random_state(const string& state) {
  if (rng_) *static_cast<rng_t*>(rng_->generator()) = RandomOfText(state);
}

template <typename Dtype>
int DataTransformer<Dtype>::Rand(int n) {
  CHECK(rng_) << "InitRand was not called";
  CHECK_GT(n, 0);
  rng_t* generator = static_cast<rng_t*>(rng_->generator());
  return static_cast<int>((*generator)() % static_cast<rng_t::result_type>(n));
}

template <typename Dtype>
ImageChannels DataTransformer<Dtype>::DecodedChannels() const {
  if (param_.force_color()) return ImageChannels::COLOR;
  return param_.force_gray() ? ImageChannels::GRAY : ImageChannels::NATIVE;
}

template <typename Dtype>
Image DataTransformer<Dtype>::Decode(const Datum& datum) const {
  return DecodeImage(datum.data(), DecodedChannels(), "");
}

template <typename Dtype>
vector<int> DataTransformer<Dtype>::ShapeOf(int channels, int height, int width) const {
  const int crop = param_.crop_size();
  LOG_IF(FATAL, param_.crop_size() > static_cast<unsigned>(height) ||
                    param_.crop_size() > static_cast<unsigned>(width))
      << "crop_size " << param_.crop_size() << " is larger than the image of " << height << " x " << width
      << " (height x width): use a smaller crop_size, or larger images";
  return {1, channels, crop ? crop : height, crop ? crop : width};
}

template <typename Dtype>
vector<int> DataTransformer<Dtype>::InferBlobShape(const ImageShape& shape) const {
  return ShapeOf(shape.channels, shape.height, shape.width);
}

template <typename Dtype>
vector<int> DataTransformer<Dtype>::InferBlobShape(const Image& image) {
  return ShapeOf(image.channels, image.height, image.width);
}

template <typename Dtype>
vector<int> DataTransformer<Dtype>::DatumShape(const Datum& datum) const {
  if (datum.encoded()) return InferBlobShape(ShapeOfImage(datum.data(), DecodedChannels(), ""));
  CheckDatum(datum);
  return ShapeOf(datum.channels(), datum.height(), datum.width());
}

template <typename Dtype>
vector<int> DataTransformer<Dtype>::InferBlobShape(const Datum& datum) {
  return DatumShape(datum);
}

template <typename Dtype>
vector<int> DataTransformer<Dtype>::InferBlobShape(const vector<Datum>& datum_vector) {
  CHECK(!datum_vector.empty()) << "there is no datum";
  vector<int> shape = InferBlobShape(datum_vector[0]);
  shape[0] = static_cast<int>(datum_vector.size());
  return shape;
}

template <typename Dtype>
void DataTransformer<Dtype>::CheckShape(const Blob<Dtype>& blob, const vector<int>& shape) const {
  LOG_IF(FATAL, blob.num() < 1 || blob.channels() != shape[1] || blob.height() != shape[2] ||
                    blob.width() != shape[3])
      << "an image is " << SizeOf(shape[1], shape[2], shape[3])
      << " (channels x height x width) after the transformation, and the data blob takes "
      << SizeOf(blob.channels(), blob.height(), blob.width())
      << ": all images must have the same size (crop_size or resizing gives them one) and channels "
         "(force_color, force_gray)";
}

template <typename Dtype>
void DataTransformer<Dtype>::CheckMean(int channels, int height, int width) const {
  if (param_.has_mean_file()) {
    LOG_IF(FATAL,
           data_mean_.channels() != channels || data_mean_.height() != height || data_mean_.width() != width)
        << "the mean in '" << param_.mean_file() << "' is "
        << SizeOf(data_mean_.channels(), data_mean_.height(), data_mean_.width())
        << " (channels x height x width), and the image " << SizeOf(channels, height, width)
        << ": compute the mean of these images, or give a mean_value per channel";
  }
  LOG_IF(FATAL, mean_values_.size() > 1 && mean_values_.size() != static_cast<size_t>(channels))
      << "transform_param has " << mean_values_.size() << " mean_values, and the image " << channels
      << (channels == 1 ? " channel" : " channels") << ": give one for all channels, or one for each";
}

template <typename Dtype>
template <typename Draw>
typename DataTransformer<Dtype>::Placement DataTransformer<Dtype>::Place(int channels, int height, int width,
                                                                         Draw draw) const {
  CheckMean(channels, height, width);
  Placement placement;
  placement.mirror = param_.mirror() && draw(2);
  const int crop = param_.crop_size();
  placement.height = crop ? crop : height;
  placement.width = crop ? crop : width;
  const bool random = crop && phase_ == TRAIN;
  placement.top = random ? draw(height - crop + 1) : (height - placement.height) / 2;
  placement.left = random ? draw(width - crop + 1) : (width - placement.width) / 2;
  return placement;
}

template <typename Dtype>
template <typename Value>
void DataTransformer<Dtype>::Apply(const View<Value>& in, const Placement& placement, Dtype* out) const {
  const Dtype scale = param_.scale();
  const ptrdiff_t step = placement.mirror ? -1 : 1;
  for (int c = 0; c < in.channels; ++c) {
    const Dtype mean_value = mean_values_.empty() ? Dtype(0) : mean_values_[mean_values_.size() > 1 ? c : 0];
    for (int y = placement.top; y < placement.top + placement.height; ++y, out += placement.width) {
      const Value* row =
          in.data + c * in.plane_stride + y * in.row_stride + placement.left * in.column_stride;
      Dtype* value = placement.mirror ? out + placement.width - 1 : out;
      if (param_.has_mean_file()) {
        const Dtype* mean =
            data_mean_.cpu_data() + (ptrdiff_t{c} * in.height + y) * in.width + placement.left;
        for (int x = 0; x < placement.width; ++x) {
          value[x * step] = (static_cast<Dtype>(row[x * in.column_stride]) - mean[x]) * scale;
        }
      } else {
        for (int x = 0; x < placement.width; ++x) {
          value[x * step] = (static_cast<Dtype>(row[x * in.column_stride]) - mean_value) * scale;
        }
      }
    }
  }
}

template <typename Dtype>
template <typename Value>
typename DataTransformer<Dtype>::template View<Value> DataTransformer<Dtype>::PlanesOf(const Value* data,
                                                                                       int channels,
                                                                                       int height,
                                                                                       int width) {
  return {data, channels, height, width, ptrdiff_t{height} * width, width, 1};
}

template <typename Dtype>
typename DataTransformer<Dtype>::template View<uint8_t> DataTransformer<Dtype>::PixelsOf(const Image& image) {
  return {image.pixels.data(),
          image.channels,
          image.height,
          image.width,
          1,
          static_cast<ptrdiff_t>(image.row_bytes()),
          image.channels};
}

template <typename Dtype>
template <typename Draw>
void DataTransformer<Dtype>::TransformValues(const Datum& datum, Draw draw, Dtype* transformed_data) const {
  const int channels = datum.channels(), height = datum.height(), width = datum.width();
  const Placement placement = Place(channels, height, width, draw);
  if (datum.data().empty()) {
    Apply(PlanesOf(datum.float_data().data(), channels, height, width), placement, transformed_data);
  } else {
    const uint8_t* bytes = reinterpret_cast<const uint8_t*>(datum.data().data());
    Apply(PlanesOf(bytes, channels, height, width), placement, transformed_data);
  }
}

template <typename Dtype>
template <typename Draw>
void DataTransformer<Dtype>::TransformImage(const Image& image, Draw draw,
                                            Blob<Dtype>* transformed_blob) const {
  CheckShape(*transformed_blob, ShapeOf(image.channels, image.height, image.width));
  Apply(PixelsOf(image), Place(image.channels, image.height, image.width, draw),
        transformed_blob->mutable_cpu_data());
}

template <typename Dtype>
template <typename Draw>
void DataTransformer<Dtype>::TransformDatum(const Datum& datum, Draw draw,
                                            Blob<Dtype>* transformed_blob) const {
  if (datum.encoded()) {
    TransformImage(Decode(datum), draw, transformed_blob);
    return;
  }
  CheckShape(*transformed_blob, DatumShape(datum));
  TransformValues(datum, draw, transformed_blob->mutable_cpu_data());
}

template <typename Dtype>
void DataTransformer<Dtype>::Transform(const Datum& datum, Dtype* transformed_data) {
  TransformValues(datum, [this](int n) { return Rand(n); }, transformed_data);
}

template <typename Dtype>
void DataTransformer<Dtype>::Transform(const Datum& datum, Blob<Dtype>* transformed_blob) {
  TransformDatum(datum, [this](int n) { return Rand(n); }, transformed_blob);
}

template <typename Dtype>
void DataTransformer<Dtype>::Transform(const Image& image, Blob<Dtype>* transformed_blob) {
  TransformImage(image, [this](int n) { return Rand(n); }, transformed_blob);
}

template <typename Dtype>
void DataTransformer<Dtype>::Transform(const Datum& datum, RecordRandom* random,
                                       Blob<Dtype>* transformed_blob) const {
  TransformDatum(datum, [random](int n) { return static_cast<int>(random->Below(n)); }, transformed_blob);
}

template <typename Dtype>
void DataTransformer<Dtype>::Transform(const Image& image, RecordRandom* random,
                                       Blob<Dtype>* transformed_blob) const {
  TransformImage(image, [random](int n) { return static_cast<int>(random->Below(n)); }, transformed_blob);
}

template <typename Dtype>
void DataTransformer<Dtype>::Transform(const vector<Datum>& datum_vector, Blob<Dtype>* transformed_blob) {
  TransformEach(datum_vector, transformed_blob);
}

template <typename Dtype>
void DataTransformer<Dtype>::Transform(Blob<Dtype>* input_blob, Blob<Dtype>* transformed_blob) {
  const int channels = input_blob->channels(), height = input_blob->height(), width = input_blob->width();
  vector<int> shape = ShapeOf(channels, height, width);
  if (transformed_blob->count() == 0) {
    shape[0] = input_blob->num();
    transformed_blob->Reshape(shape);
  }
  CheckShape(*transformed_blob, shape);
  CHECK_LE(input_blob->num(), transformed_blob->num()) << "more items than the blob has";
  const Placement placement = Place(channels, height, width, [this](int n) { return Rand(n); });
  for (int n = 0; n < input_blob->num(); ++n) {
    Apply(PlanesOf(input_blob->cpu_data() + input_blob->offset(n), channels, height, width), placement,
          transformed_blob->mutable_cpu_data() + transformed_blob->offset(n));
  }
}

INSTANTIATE_CLASS(DataTransformer);

}  // namespace caffe
