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

/// Takes a step (see caffe/util/update_rules.hpp) with all elements of a parameter; the states are the data
/// of blobs of its shape.
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
  const auto apply = [&](Dtype* weights, Dtype* diffs, auto*... state) {
    ParallelFor(param->count(), kElementGrain,
                [=](int64_t begin, int64_t end) { StepLoop(begin, end, step, weights, diffs, state...); });
  };
  apply(param->mutable_cpu_data(), param->mutable_cpu_diff(), states->mutable_cpu_data()...);
}

}  // namespace caffe

#endif  // CAFFE_SOLVERS_FOR_EACH_WEIGHT_HPP_
