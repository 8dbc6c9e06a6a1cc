#ifndef CAFFE_PYTHON_SOLVER_ACTIONS_HPP_
#define CAFFE_PYTHON_SOLVER_ACTIONS_HPP_

#include "bindings.hpp"
#include "caffe/solver.hpp"

namespace caffe {
namespace python {

using SolverClass = Solver<Dtype>;

/// Lets Ctrl-C end the solver's step() with KeyboardInterrupt, after the iteration that is running.
void StopOnInterrupt(SolverClass* solver);

/// Binds what signals do to a solver that the command line runs.
void BindSolverActions(py::module_& module);

}  // namespace python
}  // namespace caffe

#endif  // CAFFE_PYTHON_SOLVER_ACTIONS_HPP_
