#ifndef CAFFE_LOWBIT_STEPS_HPP_
#define CAFFE_LOWBIT_STEPS_HPP_

#include <cstdint>
#include <vector>

#include "caffe/lowbit/plan.hpp"
#include "caffe/lowbit/step_kernel.hpp"
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
  Steps(const Steps&) = delete;
  Steps& operator=(const Steps&) = delete;

  /// Where the real values of a part may be made so that no step is left to run: where all that becomes of
  /// them is that they are stored, in rows of `stride` values; else null.
  float* PlaceOf(const Tensors& tensors, const Part& part, int stride) const;

  /// Runs the steps on real values; they are changed.
  void Run(const Tensors& tensors, const Part& part, Tile<float> values) const;

  /**
   * @brief Runs the steps on a binary convolution's integers.
   *
   * @param real room for as many real values, used where some step computes with them.
   */
  void Run(const Tensors& tensors, const Part& part, const Sums16& sums, Tile<float> real) const;
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
  Tail TailOf(const Tensors& tensors, const Part& part) const;
  int ThresholdsOf(const Step& step) const;
  static Tile<uint8_t> CodesOf(const Step& step, const Tensors& tensors, const Part& part);
  void RunRealSteps(const Tensors& tensors, const Part& part, Tile<float> values) const;
  void RunStep(const Step& step, const Tensors& tensors, const Part& part, Tile<float> values) const;

  const StepKernel& kernel_;
  /// Of a binary convolution.
  int outputs_;
  std::vector<Step> steps_;
  /// The first step that is not a comparison of integers with thresholds.
  size_t real_from_;
  /// Whether all steps from real_from_ on are a tail, and that of all channels, without its tensors; those of
  /// its steps that have tensors, null where it lacks them.
  bool is_tail_ = false;
  Tail tail_ = {};
  const Step *add_ = nullptr, *store_ = nullptr, *quantize_ = nullptr;
  /// An affine step that changes nothing, for tails without one.
  std::vector<float> ones_, zeros_;
};

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_STEPS_HPP_
