#ifndef CAFFE_IMAGE_DATA_LAYER_HPP_
#define CAFFE_IMAGE_DATA_LAYER_HPP_

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
 * @brief Reads image files (JPEG, PNG) that a list names, a file and an integer label in each line.
 *
 * Tops: data (batch_size x channels x height x width) and labels (batch_size). Without shuffle the order is
 * the list's; with it, each pass over the list has a new one. The images of a batch must have one size after
 * resizing (new_height, new_width) and the transformation; another batch may have another.
 */
template <typename Dtype>
class ImageDataLayer : public BasePrefetchingDataLayer<Dtype> {
 public:
  explicit ImageDataLayer(const LayerParameter& param) : BasePrefetchingDataLayer<Dtype>(param) {}
  ~ImageDataLayer() override;
  void DataLayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  const char* type() const override { return "ImageData"; }
  int ExactNumBottomBlobs() const override { return 0; }
  int ExactNumTopBlobs() const override { return 2; }

 protected:
  /// Brings lines_ into the order of the pass at hand.
  virtual void ShuffleImages();
  void load_batch(Batch<Dtype>* batch) override;
  bool SeekRecord(uint64_t record) override;

  shared_ptr<Caffe::RNG> prefetch_rng_;
  vector<std::pair<std::string, int>> lines_;
  int lines_id_ = 0;

 private:
  /// A line of the list, with what is made of it.
  struct Item {
    uint64_t record;
    /// Of the line, in the list, from 1.
    int number;
    string file;
    int label;
  };

  /// Takes the next line that is for this solver.
  Item NextItem();
  void PassLine();
  ImageChannels channels() const;
  /// Calls use() for an item's image; errors name its line and file.
  template <typename Use>
  void WithItem(const Item& item, Use use) const;
  /// The shape of an item's data, from an image file's first bytes.
  vector<int> ShapeOf(const string& bytes) const;
  /// The image of a file with these bytes, resized.
  Image Decoded(const string& bytes) const;

  /// Numbers of lines_, from 1.
  vector<int> numbers_;
  uint64_t record_ = 0;
  /// Records passed over before the first.
  uint64_t skipped_ = 0;
  vector<Item> items_;
};

}  // namespace caffe

#endif  // CAFFE_IMAGE_DATA_LAYER_HPP_
