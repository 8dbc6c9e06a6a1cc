#ifndef CAFFE_SPP_LAYER_HPP_
#define CAFFE_SPP_LAYER_HPP_

#include <memory>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/layers/concat_layer.hpp"
#include "caffe/layers/flatten_layer.hpp"
#include "caffe/layers/pooling_layer.hpp"
#include "caffe/layers/split_layer.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/**
 * @brief Spatial pyramid pooling (He et al., ECCV 2014): level l of spp_param.pyramid_height pools each
 * channel of images [N, C, height, width] into 2^l x 2^l bins, and the top, [N, number of all bins], holds
 * all levels one after the other, each channel by channel. A pyramid of one level has the top [N, C, 1, 1].
 *
 * Bins are ceil(height / 2^l) x ceil(width / 2^l) with the padding shared by both sides.
 * @throws Error where a level has more bins than the image can fill.
 */
template <typename Dtype>
class SPPLayer : public Layer<Dtype> {
 public:
  explicit SPPLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  const char* type() const override { return "SPP"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

  /// The Pooling layer of a level for images of bottom_h x bottom_w.
  virtual LayerParameter GetPoolingParam(const int pyramid_level, const int bottom_h, const int bottom_w,
                                         const SPPParameter spp_param);

  int pyramid_height_ = 0;
  int num_ = 0, channels_ = 0;
  int bottom_h_ = 0, bottom_w_ = 0;
  /// Of the last level.
  int kernel_h_ = 0, kernel_w_ = 0;
  int pad_h_ = 0, pad_w_ = 0;
  bool reshaped_first_time_ = false;

  /// A copy of the bottom for each level, which is pooled and flattened; the results follow one another. A
  /// pyramid of one level is the pooling alone.
  shared_ptr<SplitLayer<Dtype>> split_layer_;
  vector<Blob<Dtype>*> split_top_vec_;
  vector<vector<Blob<Dtype>*>*> pooling_bottom_vecs_;
  vector<shared_ptr<PoolingLayer<Dtype>>> pooling_layers_;
  vector<vector<Blob<Dtype>*>*> pooling_top_vecs_;
  vector<Blob<Dtype>*> pooling_outputs_;
  vector<FlattenLayer<Dtype>*> flatten_layers_;
  vector<vector<Blob<Dtype>*>*> flatten_top_vecs_;
  vector<Blob<Dtype>*> flatten_outputs_;
  vector<Blob<Dtype>*> concat_bottom_vec_;
  shared_ptr<ConcatLayer<Dtype>> concat_layer_;

 private:
  /// Owns what the vectors above point to for a level.
  struct Level {
    explicit Level(const LayerParameter& flatten_param) : flatten(flatten_param) {}
    Blob<Dtype> copy, pooled, flat;
    vector<Blob<Dtype>*> pooling_bottom{&copy}, pooling_top{&pooled}, flatten_top{&flat};
    FlattenLayer<Dtype> flatten;
  };
  vector<std::unique_ptr<Level>> levels_;

  void SetUpLevels(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top);
  shared_ptr<PoolingLayer<Dtype>> MakePooling(int level, int height, int width);
};

}  // namespace caffe

#endif  // CAFFE_SPP_LAYER_HPP_
