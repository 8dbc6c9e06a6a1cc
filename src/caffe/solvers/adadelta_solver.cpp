#include "apply_rule.hpp"
#include "caffe/sgd_solvers.hpp"
#include "caffe/util/update_rules.hpp"

namespace caffe {

template <typename Dtype>
void AdaDeltaSolver<Dtype>::AdaDeltaPreSolve() {
  this->AddHistory();
}

template <typename Dtype>
void AdaDeltaSolver<Dtype>::ComputeUpdateValue(int param_id, Dtype rate) {
  const Dtype momentum = this->param_.momentum();
  const Dtype delta = this->param_.delta();
  const size_t second_row = this->net_->learnable_params().size();
  ApplyRule(AdaDeltaRule<Dtype>{this->LocalRate(param_id, rate), momentum, delta},
            this->net_->learnable_params()[param_id], this->history_[param_id].get(),
            this->history_[second_row + param_id].get());
}

INSTANTIATE_CLASS(AdaDeltaSolver);
REGISTER_SOLVER_CLASS(AdaDelta);

}  // namespace caffe
