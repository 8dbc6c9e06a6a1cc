#ifndef CAFFE_SOFTMAX_LOSS_BASE_HPP_
#define CAFFE_SOFTMAX_LOSS_BASE_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/layers/loss_layer.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/**
 * @brief Base of losses of a softmax: bottom 0 holds scores with the classes along one axis, bottom 1 one
 * label for each position. The optional second top is the softmax.
 */
template <typename Dtype>
class SoftmaxLossBase : public LossLayer<Dtype> {
 public:
  explicit SoftmaxLossBase(const LayerParameter& param) : LossLayer<Dtype>(param) {}
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  int ExactNumTopBlobs() const override { return -1; }
  int MinTopBlobs() const override { return 1; }
  int MaxTopBlobs() const override { return 2; }

 protected:
  /// The axis of the classes, as the definition gives it.
  virtual int class_axis() const = 0;
  virtual Dtype get_normalizer(LossParameter_NormalizationMode normalization_mode, int valid_count);

  /// Calls body(label, at) for each position, with at the index of its first class' score and label -1 where
  /// it is ignored. Returns how many are not. @throws Error for a wrong label.
  template <typename Body>
  int ForEachLabel(const Blob<Dtype>& labels, Body body) const {
    const Dtype* label = labels.cpu_data();
    const LabelRule<Dtype> rule = label_rule();
    const int classes = rule.classes;
    int count = 0;
    for (int outer = 0; outer < outer_num_; ++outer) {
      for (int inner = 0; inner < inner_num_; ++inner) {
        const int position = outer * inner_num_ + inner;
        const bool ignored = rule(label[position]) == rule.kIgnored;
        count += !ignored;
        body(ignored ? -1 : CheckedLabel(label[position], position, classes),
             static_cast<int64_t>(outer) * classes * inner_num_ + inner);
      }
    }
    return count;
  }

  LabelRule<Dtype> label_rule() const {
    const int positions = outer_num_ * inner_num_;
    return {positions > 0 ? prob_.count() / positions : 0, has_ignore_label_, ignore_label_};
  }

  shared_ptr<Layer<Dtype>> softmax_layer_;
  Blob<Dtype> prob_;
  vector<Blob<Dtype>*> softmax_bottom_vec_;
  vector<Blob<Dtype>*> softmax_top_vec_;
  bool has_ignore_label_ = false;
  int ignore_label_ = 0;
  LossParameter_NormalizationMode normalization_ = LossParameter_NormalizationMode_VALID;
  int outer_num_ = 0, inner_num_ = 0;
  /// How many labels of the last forward pass are not ignored.
  int valid_count_ = 0;
};

}  // namespace caffe

#endif  // CAFFE_SOFTMAX_LOSS_BASE_HPP_
