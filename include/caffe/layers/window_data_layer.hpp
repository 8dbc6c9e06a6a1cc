#ifndef CAFFE_WINDOW_DATA_LAYER_HPP_
#define CAFFE_WINDOW_DATA_LAYER_HPP_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/layers/base_data_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/image.hpp"

namespace caffe {

/**
 * @brief Serves random windows of images, brought to a square of crop_size pixels, as R-CNN is trained with
 * (Girshick et al. 2014, appendix A). See ReadWindowFile for the file that lists them.
 *
 * Tops: data (batch_size x channels x crop_size x crop_size) and classes (batch_size). A window of an overlap
 * of fg_threshold or more is foreground and has its class; one below bg_threshold is background, of class 0.
 * The first items of a batch are background, the last batch_size * fg_fraction (rounded down) foreground.
 *
 * crop_mode "warp" stretches a window to the square; "square" takes the smallest square around it. With
 * context_pad the window is enlarged so that it has so many pixels of surroundings on each side of the
 * cropped square. What lies outside of the image is 0. mean_file's mean is taken from its middle, for the
 * place in the square, and is not mirrored.
 */
template <typename Dtype>
class WindowDataLayer : public BasePrefetchingDataLayer<Dtype> {
 public:
  explicit WindowDataLayer(const LayerParameter& param) : BasePrefetchingDataLayer<Dtype>(param) {}
  ~WindowDataLayer() override;
  void DataLayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  const char* type() const override { return "WindowData"; }
  int ExactNumBottomBlobs() const override { return 0; }
  int ExactNumTopBlobs() const override { return 2; }

 protected:
  /// A random number, for subclasses; of the layer's own windows the numbers belong to the record.
  virtual unsigned int PrefetchRand();
  void load_batch(Batch<Dtype>* batch) override;
  bool SeekRecord(uint64_t record) override;

  shared_ptr<Caffe::RNG> prefetch_rng_;
  /// Files of the images with their channels, height and width.
  vector<std::pair<std::string, vector<int>>> image_database_;
  /// What a window's values are.
  enum WindowField { IMAGE_INDEX, LABEL, OVERLAP, X1, Y1, X2, Y2, NUM };
  vector<vector<float>> fg_windows_;
  vector<vector<float>> bg_windows_;
  Blob<Dtype> data_mean_;
  vector<Dtype> mean_values_;
  bool has_mean_file_ = false;
  bool has_mean_values_ = false;
  bool cache_images_ = false;
  /// The files' bytes, with cache_images.
  vector<std::pair<std::string, Datum>> image_database_cache_;

 private:
  /// The part of an image that is shown, and its place in the square.
  struct Cut;

  void ReadWindows();
  void ReadMean();
  Image ReadImageOf(int index) const;
  Cut CutOf(const vector<float>& window, const Image& image) const;
  /// Puts the window into `item`, a zeroed square of all channels.
  void Show(const vector<float>& window, bool mirror, Dtype* item) const;

  int crop_size_ = 0;
  int channels_ = 0;
  /// Items of a batch that are background.
  int background_items_ = 0;
  uint64_t record_ = 0;
};

}  // namespace caffe

#endif  // CAFFE_WINDOW_DATA_LAYER_HPP_
