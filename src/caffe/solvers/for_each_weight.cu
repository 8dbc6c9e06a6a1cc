#include "for_each_weight.hpp"

#include "caffe/util/gpu_launch.cuh"
#include "caffe/util/update_rules.hpp"

namespace caffe {

// A device lambda cannot hold a parameter pack.
template <typename Dtype, typename Step>
void GpuStepLoop(int n, const Step& step, Dtype* weights, Dtype* diffs) {
  GpuForEach(n, [=] __device__(int i) { step(weights + i, diffs + i); });
}

template <typename Dtype, typename Step>
void GpuStepLoop(int n, const Step& step, Dtype* weights, Dtype* diffs, Dtype* states) {
  GpuForEach(n, [=] __device__(int i) { step(weights + i, diffs + i, states + i); });
}

template <typename Dtype, typename Step>
void GpuStepLoop(int n, const Step& step, Dtype* weights, Dtype* diffs, Dtype* first, Dtype* second) {
  GpuForEach(n, [=] __device__(int i) { step(weights + i, diffs + i, first + i, second + i); });
}

#define INSTANTIATE_RULE(Dtype, Rule, ...)                                                   \
  template void GpuStepLoop(int, const RuleStep<Rule<Dtype>>&, Dtype*, Dtype*, __VA_ARGS__); \
  template void GpuStepLoop(int, const WholeStep<Dtype, Rule<Dtype>>&, Dtype*, Dtype*, __VA_ARGS__)
#define INSTANTIATE_ALL(Dtype)                                                          \
  template void GpuStepLoop(int, const PenaltyStep<L1Penalty<Dtype>>&, Dtype*, Dtype*); \
  template void GpuStepLoop(int, const PenaltyStep<L2Penalty<Dtype>>&, Dtype*, Dtype*); \
  INSTANTIATE_RULE(Dtype, SgdRule, Dtype*);                                             \
  INSTANTIATE_RULE(Dtype, NesterovRule, Dtype*);                                        \
  INSTANTIATE_RULE(Dtype, AdaGradRule, Dtype*);                                         \
  INSTANTIATE_RULE(Dtype, RMSPropRule, Dtype*);                                         \
  INSTANTIATE_RULE(Dtype, AdaDeltaRule, Dtype*, Dtype*);                                \
  INSTANTIATE_RULE(Dtype, AdamRule, Dtype*, Dtype*)
INSTANTIATE_ALL(float);
INSTANTIATE_ALL(double);

}  // namespace caffe
