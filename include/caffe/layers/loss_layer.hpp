#ifndef CAFFE_LOSS_LAYER_HPP_
#define CAFFE_LOSS_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/loss_functions.hpp"

namespace caffe {

/**
 * @brief Base of losses: predictions and targets in, one number out.
 *
 * The first top has loss weight 1 unless one is given, and is made by the net where the definition names
 * none.
 */
template <typename Dtype>
class LossLayer : public Layer<Dtype> {
 public:
  explicit LossLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  int ExactNumBottomBlobs() const override { return 2; }
  bool AutoTopBlobs() const override { return true; }
  int ExactNumTopBlobs() const override { return 1; }
  /// Targets have no gradient.
  bool AllowForceBackward(const int bottom_index) const override { return bottom_index != 1; }
};

/// What a sum of losses is divided by, for `outer_num` items of `inner_num` positions each of which
/// `valid_count` count (-1: all). At least 1. @throws Error for an unknown mode.
template <typename Dtype>
Dtype LossNormalizer(LossParameter_NormalizationMode mode, int outer_num, int inner_num, int valid_count);

/// The normalization that loss_param asks for, in either of its spellings (the deprecated `normalize` too);
/// `fallback` where it names none.
LossParameter_NormalizationMode LossNormalizationMode(const LossParameter& param,
                                                      LossParameter_NormalizationMode fallback);

/// @throws Error unless there is one label for each item of the scores, which are all axes after the first.
template <typename Dtype>
void CheckOneLabelEach(const Blob<Dtype>& scores, const Blob<Dtype>& labels) {
  CHECK_EQ(labels.count(), scores.shape(0))
      << "there must be one label for each item: scores of shape " << scores.shape_string() << " take "
      << scores.shape(0) << " labels, not " << labels.count();
}

/// Label `label` of item `position` as an index. @throws Error naming it unless it lies in [0, num_classes).
int CheckedLabel(double label, int position, int num_classes);

}  // namespace caffe

#endif  // CAFFE_LOSS_LAYER_HPP_
