#ifndef CAFFE_LOWBIT_FLOAT_STRIPS_HPP_
#define CAFFE_LOWBIT_FLOAT_STRIPS_HPP_

#include <cstdint>

#include "caffe/lowbit/float_kernel.hpp"
#include "caffe/lowbit/scratch.hpp"

namespace caffe {
namespace lowbit {

/// The weights of some groups of outputs as a float kernel's sums take them: group by group, in each block by
/// block of FloatKernel::kOutputs outputs, in each strip by strip.
class FloatStrips {
 public:
  /// All weights are 0.
  FloatStrips(const FloatKernel& kernel, int groups, int group_outputs, int64_t weights_of_output);

  /// Sets the weights of an output of a group.
  void Pack(int group, int output, const float* row);

  /// Blocks of a group.
  int blocks() const { return blocks_; }

  /// Outputs of a block.
  int Outputs(int block) const;

  /// Strips of a block's outputs that are there.
  int Strips(int block) const { return (Outputs(block) + strip_ - 1) / strip_; }

  const float* Block(int group, int block) const { return Begin(group, block); }

 private:
  // A group's blocks are whole, but for the strips that the last of them lacks.
  int64_t GroupWeights() const;
  float* Begin(int group, int block) const;

  const int strip_, group_outputs_, blocks_;
  const int64_t weights_of_output_;
  const AlignedBytes weights_;
};

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_FLOAT_STRIPS_HPP_
