#ifndef CAFFE_SOLVERS_FOR_EACH_WEIGHT_HPP_
#define CAFFE_SOLVERS_FOR_EACH_WEIGHT_HPP_

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

#ifndef CPU_ONLY
// The same for i in [0, n), on the GPU. Instantiated for the steps of the solvers.
template <typename Dtype, typename Step>
void GpuStepLoop(int n, const Step& step, Dtype* weights, Dtype* diffs);
template <typename Dtype, typename Step>
void GpuStepLoop(int n, const Step& step, Dtype* weights, Dtype* diffs, Dtype* states);
template <typename Dtype, typename Step>
void GpuStepLoop(int n, const Step& step, Dtype* weights, Dtype* diffs, Dtype* first, Dtype* second);
#endif

/// Takes a step (see caffe/util/update_rules.hpp) with elements [begin, begin + count) of a parameter, the
/// diffs of which are given, on the CPU; the states are the data of blobs of its shape.
template <typename Dtype, typename Step, typename... StateBlob>
void ForSomeWeights(const Step& step, int64_t begin, int64_t count, Dtype* diffs, Blob<Dtype>* param,
                    StateBlob*... states) {
  const auto apply = [&](Dtype* weights, auto*... state) {
    ParallelFor(count, kElementGrain,
                [=](int64_t first, int64_t last) { StepLoop(first, last, step, weights, diffs, state...); });
  };
  apply(param->mutable_cpu_data() + begin, (states->mutable_cpu_data() + begin)...);
}

/// Takes a step with all elements of a parameter.
template <typename Dtype, typename Step, typename... StateBlob>
void ForEachWeight(const Step& step, Blob<Dtype>* param, StateBlob*... states) {
  if (Caffe::mode() == Caffe::GPU) {
#ifdef CPU_ONLY
    NO_GPU;
#else
    return GpuStepLoop(param->count(), step, param->mutable_gpu_data(), param->mutable_gpu_diff(),
                       states->mutable_gpu_data()...);
#endif
  }
  ForSomeWeights(step, 0, param->count(), param->mutable_cpu_diff(), param, states...);
}

}  // namespace caffe

#endif  // CAFFE_SOLVERS_FOR_EACH_WEIGHT_HPP_
