#ifndef CAFFE_UTIL_ONEDNN_LIBRARY_HPP_
#define CAFFE_UTIL_ONEDNN_LIBRARY_HPP_

#include "caffe/util/convolution_engine.hpp"

namespace caffe {

/**
 * @brief What this project takes from oneDNN. It is linked to a library of its own, libcaffe_onednn beside
 * this one, as oneDNN takes 12 MB of memory as soon as it is loaded, which programs that train nothing can do
 * without.
 */
struct OneDnnLibrary {
  ConvolutionEngine* (*make_convolution)(const ConvolutionGeometry* geometry, bool keeps_weights);
  /// C [M x N] = alpha op(A) op(B) + beta C, all row by row, op being 'N' or 'T'; false where it failed.
  bool (*sgemm)(char trans_a, char trans_b, int m, int n, int k, float alpha, const float* a, int lda,
                const float* b, int ldb, float beta, float* c, int ldc);
};

/// The library, loaded by the first call; null where this build is without it or it cannot be loaded.
const OneDnnLibrary* GetOneDnn();

}  // namespace caffe

#endif  // CAFFE_UTIL_ONEDNN_LIBRARY_HPP_
