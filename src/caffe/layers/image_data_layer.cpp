#include "caffe/layers/image_data_layer.hpp"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "caffe/util/image.hpp"
#include "caffe/util/image_list.hpp"
#include "caffe/util/record_random.hpp"
#include "caffe/util/rng.hpp"
#include "caffe/util/solver_share.hpp"

namespace caffe {

template <typename Dtype>
ImageDataLayer<Dtype>::~ImageDataLayer() {
  this->StopInternalThread();
}

template <typename Dtype>
ImageChannels ImageDataLayer<Dtype>::channels() const {
  return this->layer_param_.image_data_param().is_color() ? ImageChannels::COLOR : ImageChannels::GRAY;
}

template <typename Dtype>
typename ImageDataLayer<Dtype>::Item ImageDataLayer<Dtype>::NextItem() {
  while (IsOfAnotherSolver(record_, this->phase_)) PassLine();
  const ImageDataParameter& param = this->layer_param_.image_data_param();
  const Item item = {record_, numbers_[lines_id_], param.root_folder() + lines_[lines_id_].first,
                     lines_[lines_id_].second};
  PassLine();
  return item;
}

template <typename Dtype>
void ImageDataLayer<Dtype>::PassLine() {
  ++record_;
  if (++lines_id_ < static_cast<int>(lines_.size())) return;
  LOG_IF(INFO, Caffe::root_solver()) << "Restarting data prefetching from start.";
  lines_id_ = 0;
  if (this->layer_param_.image_data_param().shuffle()) ShuffleImages();
}

template <typename Dtype>
template <typename Use>
void ImageDataLayer<Dtype>::WithItem(const Item& item, Use use) const {
  try {
    use();
  } catch (const Error& error) {
    // An error that has the file tells its name already.
    const string image = error.file().empty() ? "image '" + item.file + "': " : "";
    throw Error(this->layer_param_.image_data_param().source() + ":" + std::to_string(item.number) + ": " +
                    image + error.message(),
                "", "", item.file);
  }
}

template <typename Dtype>
vector<int> ImageDataLayer<Dtype>::ShapeOf(const string& bytes) const {
  const ImageDataParameter& param = this->layer_param_.image_data_param();
  ImageShape shape = ShapeOfImage(bytes, channels(), "");
  if (param.new_height() > 0) {
    shape.height = static_cast<int>(param.new_height());
    shape.width = static_cast<int>(param.new_width());
  }
  return this->data_transformer_->InferBlobShape(shape);
}

template <typename Dtype>
Image ImageDataLayer<Dtype>::Decoded(const string& bytes) const {
  const ImageDataParameter& param = this->layer_param_.image_data_param();
  Image image = DecodeImage(bytes, channels(), "");
  if (param.new_height() == 0) return image;
  return ResizeImage(image, static_cast<int>(param.new_height()), static_cast<int>(param.new_width()));
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
  LOG_IF(INFO, Caffe::root_solver()) << "Opening file " << param.source();
  ReadImageList(param.source(), [this](int number, const string& name, int label) {
    lines_.emplace_back(name, label);
    numbers_.push_back(number);
    return true;
  });
  if (lines_.empty())
    throw Error("the list of images '" + param.source() + "' is empty", "", "", param.source());
  if (param.shuffle()) {
    LOG_IF(INFO, Caffe::root_solver()) << "Shuffling data";
    prefetch_rng_ = std::make_shared<Caffe::RNG>(this->seed());
  }
  LOG_IF(INFO, Caffe::root_solver()) << "A total of " << lines_.size() << " images.";
  SeekRecord(0);
  if (param.rand_skip() > 0) {
    LOG_IF(INFO, Caffe::root_solver()) << "Skipping first " << skipped_ << " data points.";
    LOG_IF(FATAL, skipped_ >= lines_.size()) << "image_data_param.rand_skip is " << param.rand_skip()
                                             << ", above the " << lines_.size() << " images of the list";
  }
  const Item first = NextItem();
  WithItem(first, [&] { this->ShapeTops(ShapeOf(ReadFileBytes(first.file)), param.batch_size(), top); });
  SeekRecord(0);
}

template <typename Dtype>
void ImageDataLayer<Dtype>::ShuffleImages() {
  // The order of a pass does not depend on that of the one before, so that a run can be taken up anywhere.
  vector<size_t> order(lines_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [this](size_t a, size_t b) { return numbers_[a] < numbers_[b]; });
  RecordRandom random(this->seed(), RecordRandom::ORDER, (skipped_ + record_) / lines_.size());
  shuffle(order.begin(), order.end(), &random);
  vector<std::pair<string, int>> lines(lines_.size());
  vector<int> numbers(lines_.size());
  for (size_t i = 0; i < order.size(); ++i) {
    lines[i] = std::move(lines_[order[i]]);
    numbers[i] = numbers_[order[i]];
  }
  lines_.swap(lines);
  numbers_.swap(numbers);
}

template <typename Dtype>
bool ImageDataLayer<Dtype>::SeekRecord(uint64_t record) {
  const ImageDataParameter& param = this->layer_param_.image_data_param();
  if (param.rand_skip() > 0) {
    skipped_ = RecordRandom(this->seed(), RecordRandom::START, 0).Below(param.rand_skip());
  }
  record_ = record;
  lines_id_ = static_cast<int>((skipped_ + record_) % lines_.size());
  if (param.shuffle()) ShuffleImages();
  return true;
}

template <typename Dtype>
void ImageDataLayer<Dtype>::load_batch(Batch<Dtype>* batch) {
  items_.resize(this->layer_param_.image_data_param().batch_size());
  for (Item& item : items_) item = NextItem();
  batch->next_record_ = StartOfRound(record_, this->phase_);
  // The first file tells the shape, and is not read again.
  string first_bytes;
  WithItem(items_[0], [&] {
    first_bytes = ReadFileBytes(items_[0].file);
    this->ShapeBatch(ShapeOf(first_bytes), static_cast<int>(items_.size()), batch);
  });
  Dtype* labels = batch->label_.mutable_cpu_data();
  this->MakeItems(batch, this->DecodingCost(first_bytes.size()), [&](int i, Blob<Dtype>* place) {
    const Item& item = items_[i];
    WithItem(item, [&] {
      RecordRandom random(this->seed(), RecordRandom::TRANSFORM, item.record);
      const Image image = Decoded(i == 0 ? first_bytes : ReadFileBytes(item.file));
      this->data_transformer_->Transform(image, &random, place);
    });
    labels[i] = item.label;
  });
}

INSTANTIATE_CLASS(ImageDataLayer);
REGISTER_LAYER_CLASS(ImageData);

}  // namespace caffe
