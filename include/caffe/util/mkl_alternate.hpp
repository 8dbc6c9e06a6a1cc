#ifndef CAFFE_UTIL_MKL_ALTERNATE_H_
#define CAFFE_UTIL_MKL_ALTERNATE_H_

/// @file
/// CBLAS, and the functions of Intel's vector library that Caffe's interface has beside it: vsExp(n, a, y)
/// and vdExp(n, a, y) set y[i] = exp(a[i]) for i below n, for float and double. The output may be an input.

extern "C" {
#include <cblas.h>
}

#include <cmath>

#include "caffe/util/logging.hpp"

// The arguments of one function; `operation` sets y[i] from a[i], b[i] and b, as the kind has them.
#define CAFFE_DEFINE_VSL_FUNC(name, operation, parameters, float_parameters, double_parameters, arguments) \
  template <typename Dtype>                                                                                \
  void v##name parameters {                                                                                \
    CHECK_GT(n, 0) << "v" #name " needs elements";                                                         \
    CHECK(a&& y) << "v" #name " needs memory to read and to write";                                        \
    for (int i = 0; i < n; ++i) {                                                                          \
      operation;                                                                                           \
    }                                                                                                      \
  }                                                                                                        \
  inline void vs##name float_parameters { v##name<float> arguments; }                                      \
  inline void vd##name double_parameters { v##name<double> arguments; }

/// Of one vector.
#define DEFINE_VSL_UNARY_FUNC(name, operation)                                                              \
  CAFFE_DEFINE_VSL_FUNC(name, operation, (const int n, const Dtype* a, Dtype* y),                           \
                        (const int n, const float* a, float* y), (const int n, const double* a, double* y), \
                        (n, a, y))

/// Of one vector and a number b.
#define DEFINE_VSL_UNARY_FUNC_WITH_PARAM(name, operation)                                        \
  CAFFE_DEFINE_VSL_FUNC(name, operation, (const int n, const Dtype* a, const Dtype b, Dtype* y), \
                        (const int n, const float* a, const float b, float* y),                  \
                        (const int n, const double* a, const double b, double* y), (n, a, b, y))

/// Of two vectors.
#define DEFINE_VSL_BINARY_FUNC(name, operation)                                                   \
  CAFFE_DEFINE_VSL_FUNC(name, operation, (const int n, const Dtype* a, const Dtype* b, Dtype* y), \
                        (const int n, const float* a, const float* b, float* y),                  \
                        (const int n, const double* a, const double* b, double* y), (n, a, b, y))

DEFINE_VSL_UNARY_FUNC(Sqr, y[i] = a[i] * a[i])
DEFINE_VSL_UNARY_FUNC(Sqrt, y[i] = std::sqrt(a[i]))
DEFINE_VSL_UNARY_FUNC(Exp, y[i] = std::exp(a[i]))
DEFINE_VSL_UNARY_FUNC(Ln, y[i] = std::log(a[i]))
DEFINE_VSL_UNARY_FUNC(Abs, y[i] = std::fabs(a[i]))
DEFINE_VSL_UNARY_FUNC_WITH_PARAM(Powx, y[i] = std::pow(a[i], b))
DEFINE_VSL_BINARY_FUNC(Add, y[i] = a[i] + b[i])
DEFINE_VSL_BINARY_FUNC(Sub, y[i] = a[i] - b[i])
DEFINE_VSL_BINARY_FUNC(Mul, y[i] = a[i] * b[i])
DEFINE_VSL_BINARY_FUNC(Div, y[i] = a[i] / b[i])

#endif  // CAFFE_UTIL_MKL_ALTERNATE_H_
