#include "caffe/sgd_solvers.hpp"

namespace caffe {

template <typename Dtype>
UpdateRule<Dtype> NesterovSolver<Dtype>::Rule(int param_id, Dtype rate) const {
  const Dtype momentum = this->param_.momentum();
  return NesterovRule<Dtype>{this->LocalRate(param_id, rate), momentum};
}

INSTANTIATE_CLASS(NesterovSolver);
REGISTER_SOLVER_CLASS(Nesterov);

}  // namespace caffe
