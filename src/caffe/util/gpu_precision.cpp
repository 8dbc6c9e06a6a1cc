#include "caffe/util/gpu_precision.hpp"

#include <cstdlib>
#include <string>

namespace caffe {

namespace {

thread_local bool tf32_for_now = false;

string Setting(const char* name, const char* usual) {
  const char* const value = std::getenv(name);
  return value ? value : usual;
}

}  // namespace

bool AllowTF32() {
  const string text = Setting("CAFFE_TF32", "0");
  CHECK(text == "0" || text == "1") << "the environment variable CAFFE_TF32 is '" << text
                                    << "': it may be 0 or 1";
  return text == "1" || tf32_for_now;
}

Precision BackwardPrecision() {
  const string text = Setting("CAFFE_BACKWARD", "FLOAT");
  if (text == "FLOAT") return Precision::kFloat;
  if (text == "TF32") return Precision::kTF32;
  CHECK(text == "BF16") << "the environment variable CAFFE_BACKWARD is '" << text
                        << "': it may be FLOAT, TF32 or BF16";
  return Precision::kBF16;
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
