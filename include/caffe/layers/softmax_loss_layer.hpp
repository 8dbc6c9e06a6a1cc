#ifndef CAFFE_SOFTMAX_WITH_LOSS_LAYER_HPP_
#define CAFFE_SOFTMAX_WITH_LOSS_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layers/softmax_layer.hpp"
#include "caffe/layers/softmax_loss_base.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/**
 * @brief Multinomial logistic loss of the softmax: the sum of -log softmax(x)_label over all positions, over
 * a normalizer (loss_param: by default the number of positions whose label is not ignore_label).
 *
 * Bottoms: scores x with the classes along softmax_param.axis; labels, integers from 0 to classes - 1, with
 * that axis of size 1 or left out. Tops: the loss; optionally the softmax.
 * @throws Error for a label out of range.
 */
template <typename Dtype>
class SoftmaxWithLossLayer : public SoftmaxLossBase<Dtype> {
 public:
  explicit SoftmaxWithLossLayer(const LayerParameter& param) : SoftmaxLossBase<Dtype>(param) {}
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  const char* type() const override { return "SoftmaxWithLoss"; }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

  int class_axis() const override;

  int softmax_axis_ = 0;
};

}  // namespace caffe

#endif  // CAFFE_SOFTMAX_WITH_LOSS_LAYER_HPP_
