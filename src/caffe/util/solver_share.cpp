#include "caffe/util/solver_share.hpp"

namespace caffe {

SolverParameter DefinitionOfOthers(const SolverParameter& param) {
  SolverParameter others = param;
  others.clear_test_net();
  others.clear_test_net_param();
  others.clear_test_iter();
  others.clear_test_state();
  others.clear_display();
  others.clear_debug_info();
  others.clear_snapshot();
  // They get those of the root.
  others.clear_weights();
  return others;
}

}  // namespace caffe
