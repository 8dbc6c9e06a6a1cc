#ifndef CAFFE_UTIL_ELEMENTWISE_HPP_
#define CAFFE_UTIL_ELEMENTWISE_HPP_

#include <cstdint>

#include "caffe/util/device_alternate.hpp"
#include "caffe/util/parallel_for.hpp"

namespace caffe {

namespace elementwise {

// The loops alone, so that each processor generation gets its own, with the functor inlined.
template <typename Dtype, typename Function>
CAFFE_TARGET_CLONES void ForwardLoop(int64_t begin, int64_t end, Function f, const Dtype* x, Dtype* y) {
  for (int64_t i = begin; i < end; ++i) y[i] = f.Forward(x[i]);
}

template <typename Dtype, typename Function>
CAFFE_TARGET_CLONES void BackwardLoop(int64_t begin, int64_t end, Function f, const Dtype* x, const Dtype* y,
                                      const Dtype* dy, Dtype* dx) {
  for (int64_t i = begin; i < end; ++i) dx[i] = dy[i] * f.Derivative(x[i], y[i]);
}

}  // namespace elementwise

/// y[i] = f.Forward(x[i]); y may be x.
template <typename Dtype, typename Function>
void ElementwiseForward(int64_t n, Function f, const Dtype* x, Dtype* y) {
  ParallelFor(n, kElementGrain,
              [=](int64_t begin, int64_t end) { elementwise::ForwardLoop(begin, end, f, x, y); });
}

/// dx[i] = dy[i] f.Derivative(x[i], y[i]); dx may be dy.
template <typename Dtype, typename Function>
void ElementwiseBackward(int64_t n, Function f, const Dtype* x, const Dtype* y, const Dtype* dy, Dtype* dx) {
  ParallelFor(n, kElementGrain,
              [=](int64_t begin, int64_t end) { elementwise::BackwardLoop(begin, end, f, x, y, dy, dx); });
}

}  // namespace caffe

#endif  // CAFFE_UTIL_ELEMENTWISE_HPP_
