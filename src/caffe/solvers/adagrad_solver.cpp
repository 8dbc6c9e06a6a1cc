#include "caffe/sgd_solvers.hpp"

namespace caffe {

template <typename Dtype>
UpdateRule<Dtype> AdaGradSolver<Dtype>::Rule(int param_id, Dtype rate) const {
  const Dtype delta = this->param_.delta();
  return AdaGradRule<Dtype>{this->LocalRate(param_id, rate), delta};
}

INSTANTIATE_CLASS(AdaGradSolver);
REGISTER_SOLVER_CLASS(AdaGrad);

}  // namespace caffe
