#ifndef CAFFE_LOWBIT_STEPS_HPP_
#define CAFFE_LOWBIT_STEPS_HPP_

#include <cstdint>
#include <vector>

#include "caffe/lowbit/plan.hpp"
#include "caffe/lowbit/tail.hpp"

namespace caffe {
namespace lowbit {

/// Where the tensors of a pass lie: for each, its images one after the other, pixel by pixel, channels last.
struct Tensors {
  std::vector<uint8_t*> at;
  int images;

  float* real(int tensor) const { return reinterpret_cast<float*>(at[tensor]); }
  uint8_t* codes(int tensor) const { return at[tensor]; }
};

/// A part of a stage's result: some pixels that follow one another, and some channels of each.
struct Part {
  int64_t pixel;  ///< number of the first, counted through all images
  int pixels;
  int channel;
  int channels;
};

/// The steps of a stage: what becomes of the values that it computes.
class Steps {
 public:
  Steps(const Plan& plan, const StageInfo& stage);

  /// Runs the steps on real values; they are changed.
  void Run(const Tensors& tensors, const Part& part, Tile<float> values) const;

  /**
   * @brief Runs the steps on a binary convolution's integers.
   *
   * @param real room for as many real values, used where some step computes with them.
   */
  void Run(const Tensors& tensors, const Part& part, Tile<const int16_t> sums, Tile<float> real) const;
  void Run(const Tensors& tensors, const Part& part, Tile<const int32_t> sums, Tile<float> real) const;

  /// Stores codes, where they are codes: a pooling's or a map's.
  void Store(const Tensors& tensors, const Part& part, Tile<const uint8_t> codes) const;

 private:
  struct Step {
    StepInfo info;
    /// Channels of the step's tensor.
    int tensor_channels;
    /// Thresholds of integers, and the same for integers of 16 bits, none of which is 32767.
    std::vector<int32_t> thresholds32;
    std::vector<int16_t> thresholds16;
  };

  void MatchTail();
  template <typename Value>
  void RunTail(const Tensors& tensors, const Part& part, Tile<const Value> values) const;
  template <typename Sum>
  void RunOnSums(const Tensors& tensors, const Part& part, Tile<const Sum> sums, Tile<float> real) const;
  void RunStep(const Step& step, const Tensors& tensors, const Part& part, Tile<float> values) const;

  /// Of a binary convolution.
  int outputs_;
  std::vector<Step> steps_;
  /// The first step that is not a comparison of integers with thresholds.
  size_t real_from_;
  /// The steps of a tail, -1 for those that it lacks, where all steps from real_from_ on are one.
  bool is_tail_ = false;
  int affine_ = -1, add_ = -1, relu_ = -1, store_ = -1, norm_ = -1, quantize_ = -1;
  /// An affine step that changes nothing, for tails without one.
  std::vector<float> ones_, zeros_;
};

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_STEPS_HPP_
