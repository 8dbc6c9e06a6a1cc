#include "apply_rule.hpp"
#include "caffe/sgd_solvers.hpp"
#include "caffe/util/update_rules.hpp"

namespace caffe {

template <typename Dtype>
void AdaGradSolver<Dtype>::ComputeUpdateValue(int param_id, Dtype rate) {
  const Dtype delta = this->param_.delta();
  ApplyRule(AdaGradRule<Dtype>{this->LocalRate(param_id, rate), delta},
            this->net_->learnable_params()[param_id], this->history_[param_id].get());
}

INSTANTIATE_CLASS(AdaGradSolver);
REGISTER_SOLVER_CLASS(AdaGrad);

}  // namespace caffe
