#include <cmath>

#include "caffe/sgd_solvers.hpp"

namespace caffe {

template <typename Dtype>
void AdamSolver<Dtype>::AdamPreSolve() {
  this->AddHistory();
}

template <typename Dtype>
UpdateRule<Dtype> AdamSolver<Dtype>::Rule(int param_id, Dtype rate) const {
  const Dtype beta1 = this->param_.momentum();
  const Dtype beta2 = this->param_.momentum2();
  const Dtype delta = this->param_.delta();
  const int t = this->iter_ + 1;
  const Dtype correction = std::sqrt(1 - std::pow(beta2, t)) / (1 - std::pow(beta1, t));
  return AdamRule<Dtype>{this->LocalRate(param_id, rate) * correction, beta1, beta2, delta};
}

INSTANTIATE_CLASS(AdamSolver);
REGISTER_SOLVER_CLASS(Adam);

}  // namespace caffe
