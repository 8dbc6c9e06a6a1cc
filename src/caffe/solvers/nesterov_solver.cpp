#include "apply_rule.hpp"
#include "caffe/sgd_solvers.hpp"
#include "caffe/util/update_rules.hpp"

namespace caffe {

template <typename Dtype>
void NesterovSolver<Dtype>::ComputeUpdateValue(int param_id, Dtype rate) {
  const Dtype momentum = this->param_.momentum();
  ApplyRule(NesterovRule<Dtype>{this->LocalRate(param_id, rate), momentum},
            this->net_->learnable_params()[param_id], this->history_[param_id].get());
}

INSTANTIATE_CLASS(NesterovSolver);
REGISTER_SOLVER_CLASS(Nesterov);

}  // namespace caffe
