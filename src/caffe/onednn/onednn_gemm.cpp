// Products of matrices of libcaffe_onednn: see caffe/util/onednn_library.hpp.
#include <oneapi/dnnl/dnnl.h>

#include "without_signals.hpp"

extern "C" bool caffe_onednn_sgemm(char trans_a, char trans_b, int m, int n, int k, float alpha,
                                   const float* a, int lda, const float* b, int ldb, float beta, float* c,
                                   int ldc) {
  const caffe::WithoutSignals quiet;
  return dnnl_sgemm(trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc) == dnnl_success;
}
