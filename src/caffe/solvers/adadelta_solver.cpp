#include "caffe/sgd_solvers.hpp"

namespace caffe {

template <typename Dtype>
void AdaDeltaSolver<Dtype>::AdaDeltaPreSolve() {
  this->AddHistory();
}

template <typename Dtype>
UpdateRule<Dtype> AdaDeltaSolver<Dtype>::Rule(int param_id, Dtype rate) const {
  const Dtype momentum = this->param_.momentum();
  const Dtype delta = this->param_.delta();
  return AdaDeltaRule<Dtype>{this->LocalRate(param_id, rate), momentum, delta};
}

INSTANTIATE_CLASS(AdaDeltaSolver);
REGISTER_SOLVER_CLASS(AdaDelta);

}  // namespace caffe
