#ifndef CAFFE_UTIL_LIBRARY_FUNCTION_HPP_
#define CAFFE_UTIL_LIBRARY_FUNCTION_HPP_

#include <cstdint>

#include "caffe/util/elementwise.hpp"
#include "caffe/util/neuron_functions.hpp"

namespace caffe {

/// y = outer_scale * kind(inner_scale * x), kElu with its alpha, kSoftplus being log(1 + e^x): what oneDNN
/// computes several times as fast as a loop that calls the C library for each element.
struct LibraryFunction {
  enum class Kind { kElu, kExp, kSigmoid, kSoftplus, kTanh };

  Kind kind;
  float alpha = 0, inner_scale = 1, outer_scale = 1;
};

/// How a function of neuron_functions.hpp is one of the library's, and how its derivative, by y, is; most are
/// not.
template <typename Function>
struct ToLibrary {
  static constexpr bool kIsPossible = false, kIsDerivativePossible = false;
};

template <>
struct ToLibrary<BnllFunction<float>> {
  static constexpr bool kIsPossible = true, kIsDerivativePossible = true;
  static LibraryFunction Of(const BnllFunction<float>&) { return {LibraryFunction::Kind::kSoftplus}; }
  // 1 - e^-y, and y is not below 0.
  static LibraryFunction DerivativeOf(const BnllFunction<float>&) {
    return {LibraryFunction::Kind::kElu, 1, -1, -1};
  }
};

template <>
struct ToLibrary<EluFunction<float>> {
  static constexpr bool kIsPossible = true, kIsDerivativePossible = false;
  static LibraryFunction Of(const EluFunction<float>& f) { return {LibraryFunction::Kind::kElu, f.alpha}; }
};

template <>
struct ToLibrary<ExpFunction<float>> {
  static constexpr bool kIsPossible = true, kIsDerivativePossible = false;
  static LibraryFunction Of(const ExpFunction<float>& f) {
    return {LibraryFunction::Kind::kExp, 0, f.inner_scale, f.outer_scale};
  }
};

template <>
struct ToLibrary<SigmoidFunction<float>> {
  static constexpr bool kIsPossible = true, kIsDerivativePossible = false;
  static LibraryFunction Of(const SigmoidFunction<float>&) { return {LibraryFunction::Kind::kSigmoid}; }
};

template <>
struct ToLibrary<TanhFunction<float>> {
  static constexpr bool kIsPossible = true, kIsDerivativePossible = false;
  static LibraryFunction Of(const TanhFunction<float>&) { return {LibraryFunction::Kind::kTanh}; }
};

/**
 * @brief y[i] = f(x[i]) by oneDNN, on several threads, to some units in the last place; y may be x.
 *
 * @return false, having written nothing, where this build is without oneDNN.
 * @throws Error where it fails.
 */
bool ForwardByLibrary(const LibraryFunction& f, int64_t n, const float* x, float* y);

/// The same by the calling thread alone, as part of a loop that is parallel itself.
bool ForwardByLibraryAlone(const LibraryFunction& f, int64_t n, const float* x, float* y);

/// y[i] = f.Forward(x[i]) by the calling thread alone: by the library where it may and has that function.
template <typename Dtype, typename Function>
void ForwardAlone(const Function& f, bool may_use_library, int64_t n, const Dtype* x, Dtype* y) {
  if constexpr (ToLibrary<Function>::kIsPossible) {
    if (may_use_library && ForwardByLibraryAlone(ToLibrary<Function>::Of(f), n, x, y)) return;
  }
  elementwise::ForwardLoop(0, n, f, x, y);
}

/// dx[i] = dy[i] derivative(y[i]); dx may be dy. For the rest as ForwardByLibrary.
bool BackwardByLibrary(const LibraryFunction& derivative, int64_t n, const float* y, const float* dy,
                       float* dx);

}  // namespace caffe

#endif  // CAFFE_UTIL_LIBRARY_FUNCTION_HPP_
