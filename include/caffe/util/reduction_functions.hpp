#ifndef CAFFE_UTIL_REDUCTION_FUNCTIONS_HPP_
#define CAFFE_UTIL_REDUCTION_FUNCTIONS_HPP_

#include "caffe/proto/caffe.pb.h"
#include "caffe/util/device_alternate.hpp"
#include "caffe/util/neuron_functions.hpp"

namespace caffe {

template <typename Dtype>
struct IdentityFunction {
  CAFFE_HOST_DEVICE Dtype Forward(Dtype x) const { return x; }
  CAFFE_HOST_DEVICE Dtype Derivative(Dtype, Dtype) const { return 1; }
};

template <typename Dtype>
struct SquareFunction {
  CAFFE_HOST_DEVICE Dtype Forward(Dtype x) const { return x * x; }
  CAFFE_HOST_DEVICE Dtype Derivative(Dtype x, Dtype) const { return 2 * x; }
};

/// Calls body(f) with the function (as in caffe/util/neuron_functions.hpp) whose values a reduction adds up.
template <typename Dtype, typename Body>
void WithReductionFunction(ReductionParameter_ReductionOp operation, Body body) {
  if (operation == ReductionParameter_ReductionOp_ASUM) return body(AbsValFunction<Dtype>());
  if (operation == ReductionParameter_ReductionOp_SUMSQ) return body(SquareFunction<Dtype>());
  body(IdentityFunction<Dtype>());
}

}  // namespace caffe

#endif  // CAFFE_UTIL_REDUCTION_FUNCTIONS_HPP_
