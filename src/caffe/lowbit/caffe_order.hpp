#ifndef CAFFE_LOWBIT_CAFFE_ORDER_HPP_
#define CAFFE_LOWBIT_CAFFE_ORDER_HPP_

#include "caffe/lowbit/plan.hpp"

namespace caffe {
namespace lowbit {

/// Images of a tensor from Caffe's order, channel by channel, to that of tensors here, pixel by pixel, and
/// back.
void FromCaffe(const TensorInfo& tensor, const float* x, int images, int threads, float* y);
void ToCaffe(const TensorInfo& tensor, const float* x, int images, float* y);

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_CAFFE_ORDER_HPP_
