#include "caffe/solver_factory.hpp"

#include "caffe/solver.hpp"
#include "caffe/util/type_registry.hpp"

namespace caffe {

template <typename Dtype>
typename SolverRegistry<Dtype>::CreatorRegistry& SolverRegistry<Dtype>::Registry() {
  // Made on first use, as solvers register themselves in no particular order, and never destroyed.
  static CreatorRegistry* registry = new CreatorRegistry;
  return *registry;
}

template <typename Dtype>
void SolverRegistry<Dtype>::AddCreator(const string& type, Creator creator) {
  RegisterType("solver type", type, creator, &Registry());
}

template <typename Dtype>
Solver<Dtype>* SolverRegistry<Dtype>::CreateSolver(const SolverParameter& param) {
  return FindCreator("solver type", param.type(), Registry())(param);
}

template <typename Dtype>
vector<string> SolverRegistry<Dtype>::SolverTypeList() {
  return RegisteredTypes(Registry());
}

template class SolverRegistry<float>;
template class SolverRegistry<double>;

}  // namespace caffe
