#include "apply_rule.hpp"
#include "caffe/sgd_solvers.hpp"
#include "caffe/util/update_rules.hpp"

namespace caffe {

template <typename Dtype>
void RMSPropSolver<Dtype>::ComputeUpdateValue(int param_id, Dtype rate) {
  const Dtype decay = this->param_.rms_decay();
  const Dtype delta = this->param_.delta();
  ApplyRule(RMSPropRule<Dtype>{this->LocalRate(param_id, rate), decay, delta},
            this->net_->learnable_params()[param_id], this->history_[param_id].get());
}

INSTANTIATE_CLASS(RMSPropSolver);
REGISTER_SOLVER_CLASS(RMSProp);

}  // namespace caffe
