#ifndef CAFFE_INFOGAIN_LOSS_LAYER_HPP_
#define CAFFE_INFOGAIN_LOSS_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layers/softmax_loss_base.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/**
 * @brief Softmax loss in which a matrix H weighs all classes: the sum of -H(label, k) log softmax(x)_k over
 * positions and classes k, over a normalizer (loss_param: by default the number of positions whose label is
 * not ignore_label). With the identity as H it is SoftmaxWithLoss.
 *
 * Bottoms: scores x with the K classes along infogain_loss_param.axis; labels, integers from 0 to K - 1;
 * optionally H, of K x K elements, which otherwise is read from the BlobProto file
 * infogain_loss_param.source. Tops: the loss; optionally the softmax. Labels and H have no gradient.
 * @throws Error for a label out of range, or where H is missing or not of K x K elements.
 */
template <typename Dtype>
class InfogainLossLayer : public SoftmaxLossBase<Dtype> {
 public:
  explicit InfogainLossLayer(const LayerParameter& param) : SoftmaxLossBase<Dtype>(param) {}
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  const char* type() const override { return "InfogainLoss"; }
  int ExactNumBottomBlobs() const override { return -1; }
  int MinBottomBlobs() const override { return 2; }
  int MaxBottomBlobs() const override { return 3; }
  bool AllowForceBackward(const int bottom_index) const override { return bottom_index == 0; }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

  int class_axis() const override;
  /// The sum of each row of H, into sum_rows_H_.
  virtual void sum_rows_of_H(const Blob<Dtype>* H);

  /// H as the file holds it.
  Blob<Dtype> infogain_;
  Blob<Dtype> sum_rows_H_;
  int infogain_axis_ = 0;
  int num_labels_ = 0;
};

}  // namespace caffe

#endif  // CAFFE_INFOGAIN_LOSS_LAYER_HPP_
