#ifndef CAFFE_SOLVERS_APPLY_RULE_HPP_
#define CAFFE_SOLVERS_APPLY_RULE_HPP_

#include "caffe/blob.hpp"
#include "caffe/util/parallel_for.hpp"

namespace caffe {

/// diff[i] = rule(diff[i], state + i...) for all elements of a parameter; the states are the data of blobs of
/// its shape.
template <typename Dtype, typename Rule, typename... StateBlob>
void ApplyRule(const Rule& rule, Blob<Dtype>* param, StateBlob*... states) {
#ifdef CPU_ONLY
  if (Caffe::mode() == Caffe::GPU) NO_GPU;
#endif
  const auto apply = [&](Dtype* diff, auto*... state) {
    ParallelFor(param->count(), kElementGrain, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) diff[i] = rule(diff[i], (state + i)...);
    });
  };
  apply(param->mutable_cpu_diff(), states->mutable_cpu_data()...);
}

}  // namespace caffe

#endif  // CAFFE_SOLVERS_APPLY_RULE_HPP_
