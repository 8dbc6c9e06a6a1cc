#ifndef CAFFE_CROP_LAYER_HPP_
#define CAFFE_CROP_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/**
 * @brief Cuts bottom 0 to the size of bottom 1 on the axes from crop_param.axis on, from crop_param.offset
 * (one for all these axes, or one for each). Bottom 1 gives its shape only.
 */
template <typename Dtype>
class CropLayer : public Layer<Dtype> {
 public:
  explicit CropLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  const char* type() const override { return "Crop"; }
  int ExactNumBottomBlobs() const override { return 2; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

  /// Where the cut begins on each axis of the bottom.
  Blob<int> offsets;
  /// How far apart neighbours on each axis lie in the bottom and in the top.
  Blob<int> src_strides_, dest_strides_;

 private:
  /// Calls body(i, j, n) for each run of n elements that lie together, at i in the bottom and j in the top.
  template <typename Body>
  void ForRuns(const Blob<Dtype>& bottom, const Blob<Dtype>& top, Body body) const;
};

}  // namespace caffe

#endif  // CAFFE_CROP_LAYER_HPP_
