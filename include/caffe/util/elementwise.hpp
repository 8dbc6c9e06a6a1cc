#ifndef CAFFE_UTIL_ELEMENTWISE_HPP_
#define CAFFE_UTIL_ELEMENTWISE_HPP_

#include <algorithm>
#include <cstdint>

#include "caffe/util/device_alternate.hpp"
#include "caffe/util/parallel_for.hpp"
#include "caffe/util/quantize.hpp"

namespace caffe {

namespace elementwise {

// The loops alone, so that each processor generation gets its own, with the functor inlined.
template <typename Dtype, typename Function>
CAFFE_TARGET_CLONES void ForwardLoop(int64_t begin, int64_t end, Function f, const Dtype* x, Dtype* y) {
  for (int64_t i = begin; i < end; ++i) y[i] = f.Forward(x[i]);
}

// The derivatives first, a few at a time: a compiler turns their product with dy into branches on x where a
// derivative is a choice (ReLU, a clamp), and those cost more than all the rest.
template <typename Dtype, typename Function>
CAFFE_TARGET_CLONES void BackwardLoop(int64_t begin, int64_t end, Function f, const Dtype* x, const Dtype* y,
                                      const Dtype* dy, Dtype* dx) {
  constexpr int64_t kBlock = 256;
  Dtype derivative[kBlock];
  for (int64_t start = begin; start < end; start += kBlock) {
    const int n = static_cast<int>(std::min(kBlock, end - start));
    for (int i = 0; i < n; ++i) derivative[i] = f.Derivative(x[start + i], y[start + i]);
    for (int i = 0; i < n; ++i) dx[start + i] = dy[start + i] * derivative[i];
  }
}

// A few at a time and one thing after the other, which compilers can vectorize: together they have branches.
template <typename Dtype, typename Quantizer, typename Gradient>
CAFFE_TARGET_CLONES void KeepLoop(int64_t count, Quantizer quantizer, Gradient gradient, const Dtype* x,
                                  const Dtype* y, unsigned char* kept) {
  constexpr int64_t kBlock = 256;
  int codes[kBlock];
  Dtype derivative[kBlock];
  for (int64_t start = 0; start < count; start += kBlock) {
    const int n = static_cast<int>(std::min(kBlock, count - start));
    for (int i = 0; i < n; ++i) codes[i] = CodeOf(quantizer, y[start + i]);
    for (int i = 0; i < n; ++i) derivative[i] = gradient.Derivative(x[start + i], y[start + i]);
    for (int i = 0; i < n; ++i) codes[i] = KeptByte(codes[i], derivative[i] != 0);
    for (int i = 0; i < n; ++i) kept[start + i] = static_cast<unsigned char>(codes[i]);
  }
}

template <typename Dtype>
CAFFE_TARGET_CLONES void KeptGradientLoop(int64_t begin, int64_t end, const unsigned char* kept,
                                          const Dtype* dy, Dtype* dx) {
  for (int64_t i = begin; i < end; ++i) dx[i] = dy[i] * static_cast<Dtype>(KeptDerivative(kept[i]));
}

template <typename Dtype, typename Function>
CAFFE_TARGET_CLONES void MapLoop(int64_t begin, int64_t end, Function f, Dtype* y) {
  for (int64_t i = begin; i < end; ++i) y[i] = f(i);
}

}  // namespace elementwise

/// y[i] = f(i).
template <typename Dtype, typename Function>
void MapElements(int64_t n, Function f, Dtype* y) {
  ParallelFor(n, kElementGrain, [=](int64_t begin, int64_t end) { elementwise::MapLoop(begin, end, f, y); });
}

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

/// kept[i] = KeptByte of y[i] and of gradient.Derivative(x[i], y[i]). Not in parallel.
template <typename Dtype, typename Quantizer, typename Gradient>
void KeepElements(int64_t n, Quantizer quantizer, Gradient gradient, const Dtype* x, const Dtype* y,
                  unsigned char* kept) {
  elementwise::KeepLoop(n, quantizer, gradient, x, y, kept);
}

/// dx[i] = dy[i] times the derivative in kept[i]; dx may be dy.
template <typename Dtype>
void KeptGradient(int64_t n, const unsigned char* kept, const Dtype* dy, Dtype* dx) {
  ParallelFor(n, kElementGrain,
              [=](int64_t begin, int64_t end) { elementwise::KeptGradientLoop(begin, end, kept, dy, dx); });
}

}  // namespace caffe

#endif  // CAFFE_UTIL_ELEMENTWISE_HPP_
