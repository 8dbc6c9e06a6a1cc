#include "caffe/sgd_solvers.hpp"

namespace caffe {

template <typename Dtype>
UpdateRule<Dtype> RMSPropSolver<Dtype>::Rule(int param_id, Dtype rate) const {
  const Dtype decay = this->param_.rms_decay();
  const Dtype delta = this->param_.delta();
  return RMSPropRule<Dtype>{this->LocalRate(param_id, rate), decay, delta};
}

INSTANTIATE_CLASS(RMSPropSolver);
REGISTER_SOLVER_CLASS(RMSProp);

}  // namespace caffe
