#ifndef CAFFE_UTIL_ONEDNN_LIBRARY_HPP_
#define CAFFE_UTIL_ONEDNN_LIBRARY_HPP_

#include <cstdint>

#include "caffe/util/backward_precision.hpp"
#include "caffe/util/convolution_engine.hpp"

namespace caffe {

struct LibraryFunction;

/**
 * @brief What this project takes from oneDNN. It is linked to a library of its own, libcaffe_onednn beside
 * this one, as oneDNN takes 12 MB of memory as soon as it is loaded, which programs that train nothing can do
 * without.
 */
struct OneDnnLibrary {
  ConvolutionEngine* (*make_convolution)(const ConvolutionGeometry* geometry, bool keeps_weights);
  /// C [M x N] = alpha op(A) op(B) + beta C, all row by row, a row lda, ldb or ldc after the one
  /// before, op being 'N' or 'T'; false where it failed.
  bool (*sgemm)(char trans_a, char trans_b, int m, int n, int k, float alpha, const float* a, int lda,
                const float* b, int ldb, float beta, float* c, int ldc);
  /// C [M x N] = op(A) B, or += where is_added, by the calling thread alone: products of BF16, each the upper
  /// half of a float, summed in floats, all row by row; false where it failed. Slow where
  /// bf16_instructions() is kNone.
  bool (*bf16_gemm)(bool trans_a, int m, int n, int k, const uint16_t* a, int lda, const uint16_t* b, int ldb,
                    bool is_added, float* c, int ldc);
  BF16Instructions (*bf16_instructions)();
  /// y[i] = f(x[i]), times factors[i] where factors is not null, by the calling thread alone; y may be x or
  /// factors. False where it failed.
  bool (*elementwise)(const LibraryFunction* f, int64_t count, const float* x, const float* factors,
                      float* y);
};

/// The library, loaded by the first call; null where this build is without it or it cannot be loaded.
const OneDnnLibrary* GetOneDnn();

}  // namespace caffe

#endif  // CAFFE_UTIL_ONEDNN_LIBRARY_HPP_
