#ifndef CAFFE_MVN_LAYER_HPP_
#define CAFFE_MVN_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/channel_loops.hpp"

namespace caffe {

/**
 * @brief Brings each channel of each item (with across_channels each item) to mean 0 and, with
 * normalize_variance, to standard deviation 1: y = (x - mean) / (deviation + eps). May be in-place.
 *
 * The gradient takes deviation + eps for the deviation, as eps only guards against dividing by 0.
 */
template <typename Dtype>
class MVNLayer : public Layer<Dtype> {
 public:
  explicit MVNLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  const char* type() const override { return "MVN"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

  Blob<Dtype> mean_;
  /// The standard deviation plus eps, or 1 without normalize_variance.
  Blob<Dtype> variance_;
  Dtype eps_ = 0;
  /// For subclasses: room of the bottom's shape, and as many ones as a mean is of.
  Blob<Dtype> temp_, sum_multiplier_;

 private:
  /// The bottom as one channel for each mean.
  ChannelExtent Extent(const Blob<Dtype>& bottom) const;
};

}  // namespace caffe

#endif  // CAFFE_MVN_LAYER_HPP_
