#include "caffe/layers/image_data_layer.hpp"

#include <string>
#include <utility>
#include <vector>

#include "caffe/util/image.hpp"
#include "caffe/util/image_list.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/rng.hpp"

namespace caffe {

template <typename Dtype>
ImageDataLayer<Dtype>::~ImageDataLayer() {
  this->StopInternalThread();
}

template <typename Dtype>
Error ImageDataLayer<Dtype>::AtLine(const Error& error) const {
  const ImageDataParameter& param = this->layer_param_.image_data_param();
  const std::pair<string, int>& line = lines_[lines_id_];
  const string file = param.root_folder() + line.first;
  // Shuffling has moved the line, so that only the list tells where it stands.
  int at = 0;
  try {
    ReadImageList(param.source(), [&](int number, const string& name, int label) {
      if (name == line.first && label == line.second) at = number;
      return at == 0;
    });
  } catch (const Error&) {
    // The list has changed since it was read: the message does without the line.
  }
  // An error that has the file tells its name already.
  const string image = error.file().empty() ? "image '" + file + "': " : "";
  return Error(param.source() + ":" + (at ? std::to_string(at) + ":" : "") + " " + image + error.message(),
               "", "", file);
}

template <typename Dtype>
template <typename Use>
void ImageDataLayer<Dtype>::WithImage(Use use) {
  const ImageDataParameter& param = this->layer_param_.image_data_param();
  try {
    Image image = ReadImage(param.root_folder() + lines_[lines_id_].first,
                            param.is_color() ? ImageChannels::COLOR : ImageChannels::GRAY);
    if (param.new_height() > 0) image = ResizeImage(image, param.new_height(), param.new_width());
    use(image);
  } catch (const Error& error) {
    throw AtLine(error);
  }
}

template <typename Dtype>
void ImageDataLayer<Dtype>::DataLayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>& top) {
  const ImageDataParameter& param = this->layer_param_.image_data_param();
  LOG_IF(FATAL, (param.new_height() == 0) != (param.new_width() == 0))
      << "image_data_param has new_height " << param.new_height() << " and new_width " << param.new_width()
      << ": give both or neither";
  LOG_IF(FATAL, param.batch_size() < 1 || param.batch_size() > INT_MAX)
      << "image_data_param.batch_size is " << param.batch_size()
      << ": give the number of images of a forward pass";
  LOG(INFO) << "Opening file " << param.source();
  ReadImageList(param.source(), [this](int, const string& name, int label) {
    lines_.emplace_back(name, label);
    return true;
  });
  if (lines_.empty())
    throw Error("the list of images '" + param.source() + "' is empty", "", "", param.source());
  if (param.shuffle()) {
    LOG(INFO) << "Shuffling data";
    prefetch_rng_ = std::make_shared<Caffe::RNG>(caffe_rng_rand());
    ShuffleImages();
  } else if (this->phase_ == TRAIN && Caffe::solver_rank() > 0 && param.rand_skip() == 0) {
    LOG(WARNING) << "Shuffling or skipping recommended for multi-GPU";
  }
  LOG(INFO) << "A total of " << lines_.size() << " images.";
  if (param.rand_skip() > 0) {
    const unsigned int skip = caffe_rng_rand() % param.rand_skip();
    LOG(INFO) << "Skipping first " << skip << " data points.";
    LOG_IF(FATAL, skip >= lines_.size()) << "image_data_param.rand_skip is " << param.rand_skip()
                                         << ", above the " << lines_.size() << " images of the list";
    lines_id_ = static_cast<int>(skip);
  }
  WithImage([&](const Image& image) {
    this->ShapeTops(this->data_transformer_->InferBlobShape(image), param.batch_size(), top);
  });
}

template <typename Dtype>
void ImageDataLayer<Dtype>::ShuffleImages() {
  shuffle(lines_.begin(), lines_.end(), static_cast<rng_t*>(prefetch_rng_->generator()));
}

template <typename Dtype>
void ImageDataLayer<Dtype>::load_batch(Batch<Dtype>* batch) {
  const ImageDataParameter& param = this->layer_param_.image_data_param();
  const int batch_size = param.batch_size();
  for (int item = 0; item < batch_size; ++item) {
    WithImage([&](const Image& image) {
      if (item == 0) this->ShapeBatch(this->data_transformer_->InferBlobShape(image), batch_size, batch);
      this->TransformItem(image, item, batch);
    });
    batch->label_.mutable_cpu_data()[item] = lines_[lines_id_].second;
    if (++lines_id_ < static_cast<int>(lines_.size())) continue;
    LOG_IF(INFO, Caffe::root_solver()) << "Restarting data prefetching from start.";
    lines_id_ = 0;
    if (param.shuffle()) ShuffleImages();
  }
}

INSTANTIATE_CLASS(ImageDataLayer);
REGISTER_LAYER_CLASS(ImageData);

}  // namespace caffe
