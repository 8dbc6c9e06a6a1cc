#include <cmath>

#include "apply_rule.hpp"
#include "caffe/sgd_solvers.hpp"
#include "caffe/util/update_rules.hpp"

namespace caffe {

template <typename Dtype>
void AdamSolver<Dtype>::AdamPreSolve() {
  this->AddHistory();
}

template <typename Dtype>
void AdamSolver<Dtype>::ComputeUpdateValue(int param_id, Dtype rate) {
  const Dtype beta1 = this->param_.momentum();
  const Dtype beta2 = this->param_.momentum2();
  const Dtype delta = this->param_.delta();
  const int t = this->iter_ + 1;
  const Dtype correction = std::sqrt(1 - std::pow(beta2, t)) / (1 - std::pow(beta1, t));
  const size_t second_row = this->net_->learnable_params().size();
  ApplyRule(AdamRule<Dtype>{this->LocalRate(param_id, rate) * correction, beta1, beta2, delta},
            this->net_->learnable_params()[param_id], this->history_[param_id].get(),
            this->history_[second_row + param_id].get());
}

INSTANTIATE_CLASS(AdamSolver);
REGISTER_SOLVER_CLASS(Adam);

}  // namespace caffe
