#include "solver_actions.hpp"

#include <chrono>

#include "caffe/util/signal_handler.h"

namespace caffe {
namespace python {

namespace {

SolverAction::Enum ActionOf(const std::string& name) {
  if (name == "stop") return SolverAction::STOP;
  if (name == "snapshot") return SolverAction::SNAPSHOT;
  if (name == "none") return SolverAction::NONE;
  throw Error("the effect of a signal is stop, snapshot or none, not " + name);
}

// Gives SIGINT and SIGHUP their effects on solvers, in place of Python's, inside a `with` block.
class SignalEffects {
 public:
  SignalEffects(const std::string& sigint, const std::string& sighup, bool under_mpirun)
      : sigint_(ActionOf(sigint)), sighup_(ActionOf(sighup)), under_mpirun_(under_mpirun) {}

  void Enter() { handler_ = std::make_unique<SignalHandler>(sigint_, sighup_, under_mpirun_); }
  void Exit() { handler_.reset(); }
  void Attach(SolverClass* solver) const {
    if (!handler_) throw Error("signals have their effects inside the with block only");
    solver->SetActionFunction(handler_->GetActionFunction());
  }

 private:
  SolverAction::Enum sigint_;
  SolverAction::Enum sighup_;
  bool under_mpirun_;
  std::unique_ptr<SignalHandler> handler_;
};

}  // namespace

void StopOnInterrupt(SolverClass* solver) {
  // Python's own handler only notes the signal, so the solver asks for it. Taking the interpreter lock in
  // every short iteration would make training wait for other Python threads.
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kInterval(20);
  solver->SetActionFunction([last = Clock::time_point()]() mutable {
    const Clock::time_point now = Clock::now();
    if (now - last < kInterval) return SolverAction::NONE;
    py::gil_scoped_acquire acquire;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    last = Clock::now();
    return SolverAction::NONE;
  });
}

void BindSolverActions(py::module_& module) {
  py::class_<SignalEffects>(
      module, "SignalEffects",
      "SignalEffects(sigint, sighup): in a with block, these signals stop the attached\n"
      "solver, make it take a snapshot, or do nothing: \"stop\", \"snapshot\", \"none\". With under_mpirun,\n"
      "SIGUSR1 and SIGTERM have the effect of SIGINT, and SIGUSR2 that of SIGHUP.")
      .def(py::init<const std::string&, const std::string&, bool>(), py::arg("sigint"), py::arg("sighup"),
           py::arg("under_mpirun") = false)
      .def(
          "__enter__",
          [](SignalEffects& effects) -> SignalEffects& {
            effects.Enter();
            return effects;
          },
          py::return_value_policy::reference_internal)
      .def("__exit__", [](SignalEffects& effects, const py::args&) { effects.Exit(); })
      .def("attach", &SignalEffects::Attach, py::arg("solver"));
}

}  // namespace python
}  // namespace caffe
