#ifndef CAFFE_UTIL_GPU_PRECISION_HPP_
#define CAFFE_UTIL_GPU_PRECISION_HPP_

#include "caffe/common.hpp"

namespace caffe {

/**
 * @brief Whether a GPU may multiply floats as TF32: with 10 bits of each operand's fraction instead of 23, on
 * tensor cores, many times faster; sums stay in floats.
 *
 * The environment variable CAFFE_TF32, 0 (the default) or 1, says it, or a TF32ForNow. A thread's cuBLAS
 * handle follows the variable as it is when the thread first asks for the handle.
 *
 * @throws Error for another value of the variable.
 */
bool AllowTF32();

#ifndef CPU_ONLY

/// Lets the calling thread's products be of TF32, those of cuBLAS as well, for as long as it lives.
class TF32ForNow {
 public:
  /// Does nothing where not `wanted`.
  explicit TF32ForNow(bool wanted);
  ~TF32ForNow();

 private:
  const bool wanted_;
  bool before_ = false;
  cublasMath_t math_before_ = CUBLAS_DEFAULT_MATH;

  DISABLE_COPY_AND_ASSIGN(TF32ForNow);
};

#endif  // !CPU_ONLY

}  // namespace caffe

#endif  // CAFFE_UTIL_GPU_PRECISION_HPP_
