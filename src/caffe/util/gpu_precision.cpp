#include "caffe/util/gpu_precision.hpp"

#include <cstdlib>
#include <string>

namespace caffe {

namespace {

thread_local bool tf32_for_now = false;

}  // namespace

bool AllowTF32() {
  const char* const value = std::getenv("CAFFE_TF32");
  const string text = value ? value : "0";
  CHECK(text == "0" || text == "1") << "the environment variable CAFFE_TF32 is '" << text
                                    << "': it may be 0 or 1";
  return text == "1" || tf32_for_now;
}

#ifndef CPU_ONLY

TF32ForNow::TF32ForNow(bool wanted) : wanted_(wanted) {
  if (!wanted) return;
  const cublasHandle_t handle = Caffe::cublas_handle();
  CUBLAS_CHECK(cublasGetMathMode(handle, &math_before_));
  CUBLAS_CHECK(cublasSetMathMode(handle, CUBLAS_TF32_TENSOR_OP_MATH));
  before_ = tf32_for_now;
  tf32_for_now = true;
}

TF32ForNow::~TF32ForNow() {
  if (!wanted_) return;
  tf32_for_now = before_;
  cublasSetMathMode(Caffe::cublas_handle(), math_before_);
}

#endif  // !CPU_ONLY

}  // namespace caffe
