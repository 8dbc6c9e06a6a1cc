#ifndef CAFFE_LOWBIT_FLOAT_WEIGHTS_HPP_
#define CAFFE_LOWBIT_FLOAT_WEIGHTS_HPP_

#include "caffe/lowbit/plan.hpp"

namespace caffe {
namespace lowbit {

/// Whether a convolution's weights are 8-bit integers times a scale an output.
bool HasInt8Weights(const StageInfo& stage);

/// The weights of one output of a convolution of real numbers, however the file encodes them.
/// @param row so many weights as an output has: `count`.
void ReadFloatWeights(const StageInfo& stage, int output, int64_t count, float* row);

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_FLOAT_WEIGHTS_HPP_
