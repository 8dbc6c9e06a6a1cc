#ifndef CAFFE_IMAGE_DATA_LAYER_HPP_
#define CAFFE_IMAGE_DATA_LAYER_HPP_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/layers/base_data_layer.hpp"
#include "caffe/proto/caffe.pb.h"

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
  virtual void ShuffleImages();
  void load_batch(Batch<Dtype>* batch) override;

  shared_ptr<Caffe::RNG> prefetch_rng_;
  vector<std::pair<std::string, int>> lines_;
  int lines_id_ = 0;

 private:
  /// Calls `use` with the image of line lines_id_, resized; errors name the line and the image.
  template <typename Use>
  void WithImage(Use use);
  Error AtLine(const Error& error) const;
};

}  // namespace caffe

#endif  // CAFFE_IMAGE_DATA_LAYER_HPP_
