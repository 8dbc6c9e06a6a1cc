#include "take_steps.hpp"

#include "caffe/util/gpu_arrays.cuh"
#include "caffe/util/update_rules.hpp"

namespace caffe {

template <typename Dtype, typename Step>
void GpuTakeSteps(const std::vector<ParamStep<Dtype, Step>>& steps) {
  constexpr int kStates = Step::kStates;
  std::vector<GpuArrayTask<Dtype, 2 + kStates, Step>> tasks;
  tasks.reserve(steps.size());
  for (const ParamStep<Dtype, Step>& step : steps) {
    tasks.push_back({step.step, step.param->count(), {}});
    auto& arrays = tasks.back().arrays;
    arrays[0] = step.param->mutable_gpu_data();
    arrays[1] = step.param->mutable_gpu_diff();
    for (int k = 0; k < kStates; ++k) arrays[2 + k] = step.states[k]->mutable_gpu_data();
  }
  GpuForEachOfArrays(tasks);
}

#define INSTANTIATE(Dtype, ...) template void GpuTakeSteps(const std::vector<ParamStep<Dtype, __VA_ARGS__>>&)
#define INSTANTIATE_RULE(Dtype, Rule)        \
  INSTANTIATE(Dtype, RuleStep<Rule<Dtype>>); \
  INSTANTIATE(Dtype, WholeStep<Dtype, Rule<Dtype>>)
#define INSTANTIATE_ALL(Dtype)                       \
  INSTANTIATE(Dtype, PenaltyStep<L1Penalty<Dtype>>); \
  INSTANTIATE(Dtype, PenaltyStep<L2Penalty<Dtype>>); \
  INSTANTIATE_RULE(Dtype, SgdRule);                  \
  INSTANTIATE_RULE(Dtype, NesterovRule);             \
  INSTANTIATE_RULE(Dtype, AdaGradRule);              \
  INSTANTIATE_RULE(Dtype, RMSPropRule);              \
  INSTANTIATE_RULE(Dtype, AdaDeltaRule);             \
  INSTANTIATE_RULE(Dtype, AdamRule)
INSTANTIATE_ALL(float);
INSTANTIATE_ALL(double);

}  // namespace caffe
