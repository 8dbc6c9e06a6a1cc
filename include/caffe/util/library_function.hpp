#ifndef CAFFE_UTIL_LIBRARY_FUNCTION_HPP_
#define CAFFE_UTIL_LIBRARY_FUNCTION_HPP_

#include <cstdint>

#include "caffe/util/neuron_functions.hpp"

namespace caffe {

/// y = outer_scale * kind(inner_scale * x), kElu with its alpha: what oneDNN computes several times as fast
/// as a loop that calls the C library for each element.
struct LibraryFunction {
  enum class Kind { kElu, kExp, kSigmoid, kTanh };

  Kind kind;
  float alpha = 0, inner_scale = 1, outer_scale = 1;
};

/// How a function of neuron_functions.hpp is one of the library's; most are not.
template <typename Function>
struct ToLibrary {
  static constexpr bool kIsPossible = false;
};

template <>
struct ToLibrary<EluFunction<float>> {
  static constexpr bool kIsPossible = true;
  static LibraryFunction Of(const EluFunction<float>& f) { return {LibraryFunction::Kind::kElu, f.alpha}; }
};

template <>
struct ToLibrary<ExpFunction<float>> {
  static constexpr bool kIsPossible = true;
  static LibraryFunction Of(const ExpFunction<float>& f) {
    return {LibraryFunction::Kind::kExp, 0, f.inner_scale, f.outer_scale};
  }
};

template <>
struct ToLibrary<SigmoidFunction<float>> {
  static constexpr bool kIsPossible = true;
  static LibraryFunction Of(const SigmoidFunction<float>&) { return {LibraryFunction::Kind::kSigmoid}; }
};

template <>
struct ToLibrary<TanhFunction<float>> {
  static constexpr bool kIsPossible = true;
  static LibraryFunction Of(const TanhFunction<float>&) { return {LibraryFunction::Kind::kTanh}; }
};

/**
 * @brief y[i] = f(x[i]) by oneDNN, on several threads, to some units in the last place; y may be x.
 *
 * @return false, having written nothing, where this build is without oneDNN.
 * @throws Error where it fails.
 */
bool ForwardByLibrary(const LibraryFunction& f, int64_t n, const float* x, float* y);

}  // namespace caffe

#endif  // CAFFE_UTIL_LIBRARY_FUNCTION_HPP_
