#ifndef CAFFE_SOLVERS_TAKE_STEPS_HPP_
#define CAFFE_SOLVERS_TAKE_STEPS_HPP_

#include <array>
#include <tuple>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/util/parallel_for.hpp"
#include "caffe/util/target_clones.hpp"

namespace caffe {

/// step(weights + i, diffs + i, states + i...) for i in [begin, end).
template <typename Dtype, typename Step, typename... State>
CAFFE_TARGET_CLONES void StepLoop(int64_t begin, int64_t end, Step step, Dtype* weights, Dtype* diffs,
                                  State*... states) {
#pragma GCC ivdep
  for (int64_t i = begin; i < end; ++i) step(weights + i, diffs + i, (states + i)...);
}

/// A step (see caffe/util/update_rules.hpp) with a parameter; the states are the data of blobs of its shape.
template <typename Dtype, typename Step>
struct ParamStep {
  Step step;
  Blob<Dtype>* param;
  std::array<Blob<Dtype>*, Step::kStates> states;
};

#ifndef CPU_ONLY
/// Takes steps with all elements of parameters on the GPU, many parameters in one launch. Instantiated for
/// the steps of the solvers.
template <typename Dtype, typename Step>
void GpuTakeSteps(const std::vector<ParamStep<Dtype, Step>>& steps);
#endif

/// Takes a step with elements [begin, begin + count) of a parameter, the diffs of which are given, on the
/// CPU.
template <typename Dtype, typename Step>
void TakePartOfStep(const ParamStep<Dtype, Step>& whole, int64_t begin, int64_t count, Dtype* diffs) {
  const Step& step = whole.step;
  std::apply(
      [&](auto*... states) {
        const auto run = [&](Dtype* weights, auto*... state) {
          ParallelFor(count, kElementGrain, [=](int64_t first, int64_t last) {
            StepLoop(first, last, step, weights, diffs, state...);
          });
        };
        run(whole.param->mutable_cpu_data() + begin, (states->mutable_cpu_data() + begin)...);
      },
      whole.states);
}

/// Takes steps with all elements of parameters.
template <typename Dtype, typename Step>
void TakeSteps(const std::vector<ParamStep<Dtype, Step>>& steps) {
  if (Caffe::mode() == Caffe::GPU) {
#ifdef CPU_ONLY
    NO_GPU;
#else
    return GpuTakeSteps(steps);
#endif
  }
  for (const auto& step : steps) TakePartOfStep(step, 0, step.param->count(), step.param->mutable_cpu_diff());
}

}  // namespace caffe

#endif  // CAFFE_SOLVERS_TAKE_STEPS_HPP_
