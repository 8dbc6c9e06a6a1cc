#ifndef CAFFE_UTIL_GPU_PRECISION_HPP_
#define CAFFE_UTIL_GPU_PRECISION_HPP_

namespace caffe {

/**
 * @brief Whether a GPU may multiply floats as TF32: with 10 bits of each operand's fraction instead of 23, on
 * tensor cores, many times faster; sums stay in floats.
 *
 * The environment variable CAFFE_TF32, 0 (the default) or 1, says it.
 *
 * @throws Error for another value of the variable.
 */
bool AllowTF32();

}  // namespace caffe

#endif  // CAFFE_UTIL_GPU_PRECISION_HPP_
