#include "caffe/solver.hpp"

#include <optional>

#include "bindings.hpp"
#include "caffe/sgd_solvers.hpp"
#include "caffe/solver_factory.hpp"
#include "caffe/util/signal_handler.h"
#include "caffe/util/upgrade_proto.hpp"

namespace caffe {
namespace python {

namespace {

using SolverClass = Solver<Dtype>;

// A Python function pair run in every iteration, from a solver that does not hold the interpreter.
class PythonCallback : public SolverClass::Callback {
 public:
  PythonCallback(py::object on_start, py::object on_gradients_ready)
      : on_start_(std::move(on_start)), on_gradients_ready_(std::move(on_gradients_ready)) {}

 protected:
  void on_start() override { Call(on_start_); }
  void on_gradients_ready() override { Call(on_gradients_ready_); }

 private:
  static void Call(const py::object& function) {
    py::gil_scoped_acquire acquire;
    if (!function.is_none()) function();
  }

  py::object on_start_;
  py::object on_gradients_ready_;
};

void AddCallback(const py::object& self, const py::object& on_start, const py::object& on_gradients_ready) {
  auto* callback = new PythonCallback(on_start, on_gradients_ready);
  py::capsule owner(callback, [](void* held) { delete static_cast<PythonCallback*>(held); });
  if (!py::hasattr(self, "_callbacks")) self.attr("_callbacks") = py::list();
  self.attr("_callbacks").cast<py::list>().append(owner);
  self.cast<SolverClass&>().add_callback(callback);
}

// Ctrl-C: Python's handler only notes the signal, so the solver asks for it once an iteration.
SolverAction::Enum RaiseInterrupt() {
  py::gil_scoped_acquire acquire;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  return SolverAction::NONE;
}

std::shared_ptr<SolverClass> Interruptible(std::shared_ptr<SolverClass> solver) {
  solver->SetActionFunction(RaiseInterrupt);
  return solver;
}

SolverAction::Enum ActionOf(const std::string& name) {
  if (name == "stop") return SolverAction::STOP;
  if (name == "snapshot") return SolverAction::SNAPSHOT;
  CHECK_EQ(name, "none") << "a signal's effect must be stop, snapshot or none";
  return SolverAction::NONE;
}

// While it lives, the signals have these effects on the solver.
class SignalEffects {
 public:
  SignalEffects(std::shared_ptr<SolverClass> solver, const std::string& sigint, const std::string& sighup)
      : solver_(std::move(solver)), handler_(ActionOf(sigint), ActionOf(sighup)) {
    solver_->SetActionFunction(handler_.GetActionFunction());
  }
  ~SignalEffects() { solver_->SetActionFunction(RaiseInterrupt); }

 private:
  std::shared_ptr<SolverClass> solver_;
  SignalHandler handler_;
};

void BindTypes(py::module_& module) {
  using Sgd = SGDSolver<Dtype>;
  const auto make = [](auto* tag) {
    using Concrete = std::remove_pointer_t<decltype(tag)>;
    return [](const std::string& file) {
      py::gil_scoped_release release;
      auto solver = std::make_shared<Concrete>(file);
      Interruptible(solver);
      return solver;
    };
  };
  const auto file = py::arg("solver_file");
  py::class_<Sgd, SolverClass, std::shared_ptr<Sgd>>(module, "SGDSolver")
      .def(py::init(make(static_cast<Sgd*>(nullptr))), file)
      .def_property_readonly("lr", [](Sgd& solver) { return solver.GetLearningRate(); });
  const auto derived = [&](auto* tag, const char* name) {
    using Concrete = std::remove_pointer_t<decltype(tag)>;
    py::class_<Concrete, Sgd, std::shared_ptr<Concrete>>(module, name).def(py::init(make(tag)), file);
  };
  derived(static_cast<NesterovSolver<Dtype>*>(nullptr), "NesterovSolver");
  derived(static_cast<AdaGradSolver<Dtype>*>(nullptr), "AdaGradSolver");
  derived(static_cast<RMSPropSolver<Dtype>*>(nullptr), "RMSPropSolver");
  derived(static_cast<AdaDeltaSolver<Dtype>*>(nullptr), "AdaDeltaSolver");
  derived(static_cast<AdamSolver<Dtype>*>(nullptr), "AdamSolver");
}

}  // namespace

void BindSolver(py::module_& module) {
  py::class_<SolverParameter>(module, "SolverParameter", "The definition of a solver.")
      .def_property_readonly("max_iter", [](const SolverParameter& param) { return param.max_iter(); })
      .def_property_readonly("display", [](const SolverParameter& param) { return param.display(); })
      .def_property_readonly("layer_wise_reduce",
                             [](const SolverParameter& param) { return param.layer_wise_reduce(); })
      .def_property(
          "base_lr", [](const SolverParameter& param) { return param.base_lr(); },
          [](SolverParameter& param, float value) { param.set_base_lr(value); })
      .def("SerializeToString",
           [](const SolverParameter& param) { return py::bytes(param.SerializeAsString()); });

  py::class_<SolverClass, std::shared_ptr<SolverClass>>(module, "Solver", py::dynamic_attr(), "Trains a net.")
      .def_property_readonly("net", [](SolverClass& solver) { return solver.net(); })
      .def_property_readonly("test_nets", [](SolverClass& solver) { return solver.test_nets(); })
      .def_property_readonly("iter", [](const SolverClass& solver) { return solver.iter(); })
      .def_property_readonly("type", [](const SolverClass& solver) { return std::string(solver.type()); })
      .def_property_readonly(
          "param", [](const SolverClass& solver) -> const SolverParameter& { return solver.param(); },
          py::return_value_policy::reference_internal)
      .def("add_callback", &AddCallback, py::arg("on_start"), py::arg("on_gradients_ready"))
      .def(
          "solve",
          [](SolverClass& solver, const std::optional<std::string>& resume_file) {
            solver.Solve(resume_file ? resume_file->c_str() : nullptr);
          },
          ReleaseGil(), py::arg("resume_file") = py::none(), "Trains up to max_iter.")
      .def("step", &SolverClass::Step, ReleaseGil(), py::arg("iterations"), "Trains for some iterations.")
      .def("restore", &SolverClass::Restore, ReleaseGil(), py::arg("state_file"))
      .def("snapshot", &SolverClass::Snapshot, ReleaseGil())
      .def(
          "share_weights",
          [](SolverClass& solver, const Net<Dtype>& net) { solver.net()->ShareTrainedLayersWith(&net); },
          py::arg("net"), py::keep_alive<1, 2>())
      .def("apply_update", &SolverClass::ApplyUpdate, ReleaseGil());
  BindTypes(module);

  module.def(
      "get_solver",
      [](const std::string& file) {
        py::gil_scoped_release release;
        SolverParameter param;
        ReadSolverParamsFromTextFileOrDie(file, &param);
        return Interruptible(std::shared_ptr<SolverClass>(SolverRegistry<Dtype>::CreateSolver(param)));
      },
      py::arg("solver_file"), "The solver that a file defines, of the type it names.");
  module.def(
      "get_solver_from_bytes",
      [](const std::string& message) {
        py::gil_scoped_release release;
        SolverParameter param;
        CHECK(param.ParseFromString(message)) << "not a SolverParameter message";
        return Interruptible(std::shared_ptr<SolverClass>(SolverRegistry<Dtype>::CreateSolver(param)));
      },
      py::arg("message"), "The solver that a serialized SolverParameter defines.");

  py::class_<SignalEffects>(module, "SignalEffects",
                            "While it lives, SIGINT and SIGHUP stop the solver, snapshot or do nothing.")
      .def(py::init<std::shared_ptr<SolverClass>, const std::string&, const std::string&>(),
           py::arg("solver"), py::arg("sigint"), py::arg("sighup"));
}

}  // namespace python
}  // namespace caffe
