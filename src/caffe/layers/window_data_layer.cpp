#include "caffe/layers/window_data_layer.hpp"

#include <algorithm>
#include <climits>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "caffe/util/image_datum.hpp"
#include "caffe/util/image_mean.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/record_random.hpp"
#include "caffe/util/rng.hpp"
#include "caffe/util/solver_share.hpp"
#include "caffe/util/window_file.hpp"

namespace caffe {

template <typename Dtype>
struct WindowDataLayer<Dtype>::Cut {
  /// Of the image: first and last column and row.
  int x1, y1, x2, y2;
  /// Its size in the square, and how much of the square lies before it.
  int height, width;
  int pad_top = 0, pad_left = 0, pad_right = 0;
};

template <typename Dtype>
WindowDataLayer<Dtype>::~WindowDataLayer() {
  this->StopInternalThread();
}

template <typename Dtype>
void WindowDataLayer<Dtype>::DataLayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>& top) {
  const WindowDataParameter& param = this->layer_param_.window_data_param();
  LOG_IF(INFO, Caffe::root_solver()) << "Window data layer:\n  foreground (object) overlap threshold: "
                                     << param.fg_threshold()
                                     << "\n  background (non-object) overlap threshold: "
                                     << param.bg_threshold()
                                     << "\n  foreground sampling fraction: " << param.fg_fraction()
                                     << "\n  cache_images: " << param.cache_images()
                                     << "\n  root_folder: " << param.root_folder();
  LOG_IF(FATAL, param.batch_size() < 1 || param.batch_size() > INT_MAX)
      << "window_data_param.batch_size is " << param.batch_size()
      << ": give the number of windows of a forward pass";
  LOG_IF(FATAL, !(param.fg_fraction() >= 0 && param.fg_fraction() <= 1))
      << "window_data_param.fg_fraction is " << param.fg_fraction() << ": it is a part of a batch, 0 to 1";
  LOG_IF(FATAL, param.crop_mode() != "warp" && param.crop_mode() != "square")
      << "window_data_param.crop_mode is '" << param.crop_mode() << "': use warp or square";
  crop_size_ = static_cast<int>(this->transform_param_.crop_size());
  LOG_IF(FATAL, crop_size_ < 1) << "transform_param.crop_size is " << crop_size_
                                << ": give the side of the square that windows are brought to";
  LOG_IF(FATAL, 2ull * param.context_pad() >= static_cast<unsigned>(crop_size_))
      << "window_data_param.context_pad " << param.context_pad() << " leaves no room in a crop_size of "
      << crop_size_;
  LOG_IF(INFO, Caffe::root_solver()) << "Amount of context padding: " << param.context_pad();
  LOG_IF(INFO, Caffe::root_solver()) << "Crop mode: " << param.crop_mode();

  const int batch_size = static_cast<int>(param.batch_size());
  background_items_ = batch_size - static_cast<int>(static_cast<float>(batch_size) * param.fg_fraction());
  cache_images_ = param.cache_images();
  ReadWindows();
  LOG_IF(FATAL, background_items_ < batch_size && fg_windows_.empty())
      << param.source() << ": no window has an overlap of fg_threshold " << param.fg_threshold()
      << " or more, which fg_fraction " << param.fg_fraction() << " asks for";
  LOG_IF(FATAL, background_items_ > 0 && bg_windows_.empty())
      << param.source() << ": no window has an overlap below bg_threshold " << param.bg_threshold()
      << ", which fg_fraction " << param.fg_fraction() << " asks for";
  ReadMean();
  prefetch_rng_ = std::make_shared<Caffe::RNG>(this->seed() + Caffe::solver_rank());
  this->ShapeTops({1, channels_, crop_size_, crop_size_}, batch_size, top);
}

template <typename Dtype>
void WindowDataLayer<Dtype>::ReadWindows() {
  const WindowDataParameter& param = this->layer_param_.window_data_param();
  std::map<int, int> windows_of_class;
  ReadWindowFile(param.source(), [&](const WindowImage& image) {
    const ImageShape& shape = image.shape;
    LOG_IF(FATAL, shape.channels != 1 && shape.channels != 3)
        << param.source() << ": image '" << image.name << "' has " << shape.channels
        << " channels: 1 (gray) and 3 (color) are read";
    LOG_IF(FATAL, channels_ != 0 && shape.channels != channels_)
        << param.source() << ": image '" << image.name << "' has " << shape.channels
        << " channels, and the images before have " << channels_;
    channels_ = shape.channels;
    const float index = static_cast<float>(image_database_.size());
    const string file = param.root_folder() + image.name;
    image_database_.push_back({file, {shape.channels, shape.height, shape.width}});
    if (cache_images_) {
      image_database_cache_.emplace_back(file, Datum());
      SetDatumToEncoded(ReadFileBytes(file), &image_database_cache_.back().second);
    }
    for (const ImageWindow& window : image.windows) {
      const bool is_foreground = window.overlap >= param.fg_threshold();
      if (!is_foreground && window.overlap >= param.bg_threshold()) continue;
      LOG_IF(FATAL, is_foreground && window.label <= 0)
          << param.source() << ":" << window.line << ": a foreground window (overlap " << window.overlap
          << ") has class " << window.label << ": classes count from 1, 0 is the background";
      const int label = is_foreground ? window.label : 0;
      ++windows_of_class[label];
      (is_foreground ? fg_windows_ : bg_windows_)
          .push_back({index, static_cast<float>(label), is_foreground ? window.overlap : 0.f,
                      static_cast<float>(window.x1), static_cast<float>(window.y1),
                      static_cast<float>(window.x2), static_cast<float>(window.y2)});
    }
  });
  LOG_IF(FATAL, image_database_.empty()) << "the window file '" << param.source() << "' is empty";
  LOG_IF(INFO, Caffe::root_solver()) << "Number of images: " << image_database_.size();
  for (const auto& entry : windows_of_class) {
    LOG_IF(INFO, Caffe::root_solver()) << "class " << entry.first << " has " << entry.second << " samples";
  }
}

template <typename Dtype>
void WindowDataLayer<Dtype>::ReadMean() {
  const TransformationParameter& param = this->transform_param_;
  has_mean_file_ = param.has_mean_file();
  has_mean_values_ = param.mean_value_size() > 0;
  if (has_mean_file_) {
    ReadImageMean(param.mean_file(), &data_mean_);
    LOG_IF(FATAL, data_mean_.channels() != channels_ || data_mean_.height() != data_mean_.width() ||
                      data_mean_.width() < crop_size_)
        << "the mean in '" << param.mean_file() << "' is " << data_mean_.channels() << " x "
        << data_mean_.height() << " x " << data_mean_.width() << " (channels x height x width): " << channels_
        << " channels of a square of at least crop_size " << crop_size_ << " are needed";
  }
  if (has_mean_values_) {
    mean_values_.assign(param.mean_value().begin(), param.mean_value().end());
    LOG_IF(FATAL, mean_values_.size() != 1 && mean_values_.size() != static_cast<size_t>(channels_))
        << "transform_param has " << mean_values_.size() << " mean_values, and the images " << channels_
        << " channels: give one for all, or one for each";
    mean_values_.resize(channels_, mean_values_[0]);
  }
}

template <typename Dtype>
unsigned int WindowDataLayer<Dtype>::PrefetchRand() {
  CHECK(prefetch_rng_) << "the layer was not set up";
  return static_cast<unsigned int>((*static_cast<rng_t*>(prefetch_rng_->generator()))());
}

template <typename Dtype>
Image WindowDataLayer<Dtype>::ReadImageOf(int index) const {
  const string& file = image_database_[index].first;
  const ImageChannels channels = channels_ == 1 ? ImageChannels::GRAY : ImageChannels::COLOR;
  return cache_images_ ? DecodeImage(image_database_cache_[index].second.data(), channels, file)
                       : ReadImage(file, channels);
}

template <typename Dtype>
typename WindowDataLayer<Dtype>::Cut WindowDataLayer<Dtype>::CutOf(const vector<float>& window,
                                                                   const Image& image) const {
  const WindowDataParameter& param = this->layer_param_.window_data_param();
  // Far outside of any image it does not matter where.
  const auto rounded = [](Dtype value) {
    constexpr Dtype kFar = 1 << 29;
    return static_cast<int>(std::round(std::clamp(value, -kFar, kFar)));
  };
  const bool square = param.crop_mode() == "square";
  Cut cut;
  cut.x1 = static_cast<int>(window[X1]);
  cut.y1 = static_cast<int>(window[Y1]);
  cut.x2 = static_cast<int>(window[X2]);
  cut.y2 = static_cast<int>(window[Y2]);
  cut.height = cut.width = crop_size_;
  const bool widened = square || param.context_pad() > 0;
  Dtype scale_x = 0, scale_y = 0;
  int outside_left = 0, outside_right = 0, outside_top = 0;
  if (widened) {
    const int padding = static_cast<int>(param.context_pad());
    const Dtype enlarged = static_cast<Dtype>(crop_size_) / static_cast<Dtype>(crop_size_ - 2 * padding);
    Dtype half_height = static_cast<Dtype>(cut.y2 - cut.y1 + 1) / 2;
    Dtype half_width = static_cast<Dtype>(cut.x2 - cut.x1 + 1) / 2;
    const Dtype center_x = static_cast<Dtype>(cut.x1) + half_width;
    const Dtype center_y = static_cast<Dtype>(cut.y1) + half_height;
    if (square) half_height = half_width = std::max(half_height, half_width);
    cut.x1 = rounded(center_x - half_width * enlarged);
    cut.x2 = rounded(center_x + half_width * enlarged);
    cut.y1 = rounded(center_y - half_height * enlarged);
    cut.y2 = rounded(center_y + half_height * enlarged);
    scale_x = static_cast<Dtype>(crop_size_) / static_cast<Dtype>(cut.x2 - cut.x1 + 1);
    scale_y = static_cast<Dtype>(crop_size_) / static_cast<Dtype>(cut.y2 - cut.y1 + 1);
    outside_left = std::max(0, -cut.x1);
    outside_top = std::max(0, -cut.y1);
    outside_right = std::max(0, cut.x2 - image.width + 1);
    cut.x1 += outside_left;
    cut.y1 += outside_top;
    cut.x2 -= outside_right;
    cut.y2 -= std::max(0, cut.y2 - image.height + 1);
  }
  LOG_IF(FATAL, cut.x1 < 0 || cut.y1 < 0 || cut.x2 >= image.width || cut.y2 >= image.height ||
                    cut.x1 > cut.x2 || cut.y1 > cut.y2)
      << "the window x1 y1 x2 y2 " << window[X1] << " " << window[Y1] << " " << window[X2] << " "
      << window[Y2] << " lies outside of the image of " << image.width << " x " << image.height << " pixels";
  if (!widened) return cut;
  cut.pad_left = rounded(outside_left * scale_x);
  cut.pad_right = rounded(outside_right * scale_x);
  cut.pad_top = rounded(outside_top * scale_y);
  cut.width = rounded((cut.x2 - cut.x1 + 1) * scale_x);
  cut.height = rounded((cut.y2 - cut.y1 + 1) * scale_y);
  return cut;
}

template <typename Dtype>
void WindowDataLayer<Dtype>::Show(const vector<float>& window, bool mirror, Dtype* item) const {
  const Image image = ReadImageOf(static_cast<int>(window[IMAGE_INDEX]));
  const Cut cut = CutOf(window, image);
  const int left = mirror ? cut.pad_right : cut.pad_left;
  // Rounding may have made it larger than what the padding leaves.
  const int width = std::min(cut.width, crop_size_ - left);
  const int height = std::min(cut.height, crop_size_ - cut.pad_top);
  if (width < 1 || height < 1) return;

  Image part(cut.y2 - cut.y1 + 1, cut.x2 - cut.x1 + 1, image.channels);
  for (int y = 0; y < part.height; ++y) {
    std::copy_n(image.row(cut.y1 + y) + cut.x1 * image.channels, part.row_bytes(), part.row(y));
  }
  part = ResizeImage(part, height, width);

  const Dtype scale = this->transform_param_.scale();
  const int mean_size = data_mean_.shape().empty() ? 0 : data_mean_.shape(-1);
  const int mean_border = (mean_size - crop_size_) / 2;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const uint8_t* pixel = part.row(y) + (mirror ? width - 1 - x : x) * channels_;
      const int row = cut.pad_top + y, column = left + x;
      for (int c = 0; c < channels_; ++c) {
        Dtype mean = 0;
        if (has_mean_file_) {
          mean =
              data_mean_.cpu_data()[(c * mean_size + mean_border + row) * mean_size + mean_border + column];
        } else if (has_mean_values_) {
          mean = mean_values_[c];
        }
        item[(c * crop_size_ + row) * crop_size_ + column] = (static_cast<Dtype>(pixel[c]) - mean) * scale;
      }
    }
  }
}

template <typename Dtype>
bool WindowDataLayer<Dtype>::SeekRecord(uint64_t record) {
  record_ = record;
  return true;
}

template <typename Dtype>
void WindowDataLayer<Dtype>::load_batch(Batch<Dtype>* batch) {
  Dtype* labels = batch->label_.mutable_cpu_data();
  const vector<int>& first = image_database_[0].second;
  // A JPEG is about an eighth of its pixels.
  const double cost = this->DecodingCost(size_t{1} * first[0] * first[1] * first[2] / 8);
  this->MakeItems(batch, cost, [&](int i, Blob<Dtype>* place) {
    RecordRandom random(this->seed(), RecordRandom::CHOICE, RecordOfItem(record_, i, this->phase_));
    const auto& windows = i < background_items_ ? bg_windows_ : fg_windows_;
    const vector<float>& window = windows[random.Below(windows.size())];
    const bool mirror = this->transform_param_.mirror() && random.Below(2);
    caffe_set(place->count(), Dtype(0), place->mutable_cpu_data());
    try {
      Show(window, mirror, place->mutable_cpu_data());
    } catch (const Error& error) {
      const string& file = image_database_[static_cast<int>(window[IMAGE_INDEX])].first;
      throw Error(
          this->layer_param_.window_data_param().source() + ": image '" + file + "': " + error.message(), "",
          "", file);
    }
    labels[i] = window[LABEL];
  });
  record_ += SharingSolvers(this->phase_) * batch->data_.shape(0);
  batch->next_record_ = record_;
}

INSTANTIATE_CLASS(WindowDataLayer);
REGISTER_LAYER_CLASS(WindowData);

}  // namespace caffe
