#ifndef CAFFE_SPP_LAYER_HPP_
#define CAFFE_SPP_LAYER_HPP_

#include <memory>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
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
  int bottom_h_ = 0, bottom_w_ = 0;

 private:
  /// A pooling and the blobs between it and the bottom (whose data it shares) and the top.
  struct Level {
    shared_ptr<Layer<Dtype>> pooling;
    Blob<Dtype> bottom, pooled;
  };
  vector<std::unique_ptr<Level>> levels_;
};

}  // namespace caffe

#endif  // CAFFE_SPP_LAYER_HPP_
