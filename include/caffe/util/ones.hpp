#ifndef CAFFE_UTIL_ONES_HPP_
#define CAFFE_UTIL_ONES_HPP_

#include <algorithm>
#include <vector>

#include "caffe/blob.hpp"

namespace caffe {

/// Gives a blob the shape, and ones in every element. Layers written against Caffe sum over an axis as the
/// product with such a vector.
template <typename Dtype>
void ReshapeOnes(const std::vector<int>& shape, Blob<Dtype>* ones) {
  if (ones->shape() == shape) return;
  ones->Reshape(shape);
  Dtype* values = ones->mutable_cpu_data();
  std::fill(values, values + ones->count(), Dtype(1));
}

}  // namespace caffe

#endif  // CAFFE_UTIL_ONES_HPP_
