#ifndef CAFFE_UTIL_CONTRASTIVE_HPP_
#define CAFFE_UTIL_CONTRASTIVE_HPP_

#include <cmath>

#include "caffe/proto/caffe.pb.h"
#include "caffe/util/device_alternate.hpp"

namespace caffe {

/// The contrastive loss of one pair, for all devices; see ContrastiveLossLayer.
template <typename Dtype>
struct ContrastiveFunction {
  Dtype margin;
  bool legacy;

  explicit ContrastiveFunction(const ContrastiveLossParameter& param)
      : margin(param.margin()), legacy(param.legacy_version()) {}

  /// Whether a pair's value in the third bottom says so.
  CAFFE_HOST_DEVICE static bool IsSimilar(Dtype value) { return static_cast<int>(value) != 0; }

  CAFFE_HOST_DEVICE Dtype Loss(bool similar, Dtype dist_sq) const {
    if (similar) return dist_sq;
    const Dtype missed = Missed(dist_sq);
    if (missed <= 0) return 0;
    return legacy ? missed : missed * missed;
  }

  /// Half the derivative of the loss with respect to a side is this factor times the difference of the sides.
  CAFFE_HOST_DEVICE Dtype Factor(bool similar, Dtype dist_sq) const {
    if (similar) return 1;
    const Dtype missed = Missed(dist_sq);
    if (missed <= 0) return 0;
    // Caffe's guard against equal features is part of what models were trained with.
    return legacy ? Dtype(-1) : -missed / (std::sqrt(dist_sq) + Dtype(1e-4));
  }

  /// What a batch's loss is, whose pairs' losses add up to `sum`.
  static Dtype BatchLoss(Dtype sum, int num) { return sum / num / 2; }
  /// What Factor is to be multiplied by for side 0 or 1.
  static Dtype SideWeight(int side, Dtype loss_weight, int num) {
    return (side == 0 ? 1 : -1) * loss_weight / num;
  }

 private:
  CAFFE_HOST_DEVICE Dtype Missed(Dtype dist_sq) const {
    return margin - (legacy ? dist_sq : std::sqrt(dist_sq));
  }
};

}  // namespace caffe

#endif  // CAFFE_UTIL_CONTRASTIVE_HPP_
