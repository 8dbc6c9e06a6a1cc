#include "caffe/solver.hpp"

#include <optional>

#include "bindings.hpp"
#include "caffe/sgd_solvers.hpp"
#include "caffe/util/path_resolve.hpp"
#include "caffe/util/snapshots.hpp"
#include "caffe/util/upgrade_proto.hpp"
#include "callbacks.hpp"
#include "solver_actions.hpp"

namespace caffe {
namespace python {

namespace {

// Runs Python functions in every iteration, from a solver that does not hold the interpreter.
class PythonCallback : public SolverClass::Callback {
 public:
  PythonCallback(py::handle on_start, py::handle on_gradients_ready)
      : on_start_(on_start), on_gradients_ready_(on_gradients_ready) {}

 protected:
  void on_start() override { Call(on_start_); }
  void on_gradients_ready() override { Call(on_gradients_ready_); }

 private:
  static void Call(py::handle function) {
    py::gil_scoped_acquire acquire;
    function();
  }

  py::handle on_start_;
  py::handle on_gradients_ready_;
};

void AddCallback(const py::object& self, const py::function& on_start,
                 const py::function& on_gradients_ready) {
  auto* callback = KeepCallback(self, std::make_unique<PythonCallback>(on_start, on_gradients_ready),
                                py::make_tuple(on_start, on_gradients_ready));
  self.cast<SolverClass&>().add_callback(callback);
}

// The solver of the type that the definition names.
std::shared_ptr<SolverClass> MakeSolver(const SolverParameter& param) {
  std::shared_ptr<SolverClass> solver(SolverRegistry<Dtype>::CreateSolver(param));
  StopOnInterrupt(solver.get());
  return solver;
}

std::shared_ptr<SolverClass> SolverFromFile(const Path& path) {
  const string file = path.string();
  SolverParameter param;
  ReadSolverParamsFromTextFileOrDie(file, &param);
  ResolvePaths(file, &param);
  try {
    return MakeSolver(param);
  } catch (const Error& error) {
    throw error.WithFile(file);
  }
}

// A solver of one type, whatever type the file names.
template <typename Concrete>
std::shared_ptr<Concrete> ConcreteFromFile(const Path& path) {
  py::gil_scoped_release release;
  auto solver = std::make_shared<Concrete>(path.string());
  StopOnInterrupt(solver.get());
  return solver;
}

template <typename Concrete>
void BindType(py::module_& module, const char* name, const char* doc) {
  py::class_<Concrete, SGDSolver<Dtype>, std::shared_ptr<Concrete>>(module, name, doc)
      .def(py::init(&ConcreteFromFile<Concrete>), py::arg("solver_file"));
}

void BindTypes(py::module_& module) {
  using Sgd = SGDSolver<Dtype>;
  py::class_<Sgd, SolverClass, std::shared_ptr<Sgd>>(module, "SGDSolver",
                                                     "Stochastic gradient descent with momentum.")
      .def(py::init(&ConcreteFromFile<Sgd>), py::arg("solver_file"))
      .def_property_readonly("lr", &Sgd::GetLearningRate, "The learning rate of the present iteration.");
  BindType<NesterovSolver<Dtype>>(module, "NesterovSolver", "Nesterov's accelerated gradient.");
  BindType<AdaGradSolver<Dtype>>(module, "AdaGradSolver", "AdaGrad.");
  BindType<RMSPropSolver<Dtype>>(module, "RMSPropSolver", "RMSProp.");
  BindType<AdaDeltaSolver<Dtype>>(module, "AdaDeltaSolver", "AdaDelta.");
  BindType<AdamSolver<Dtype>>(module, "AdamSolver", "Adam.");
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
      .def(
          "SerializeToString",
          [](const SolverParameter& param) { return py::bytes(param.SerializeAsString()); },
          "The bytes that caffe_pb2.SolverParameter.FromString reads.");

  py::class_<SolverClass, std::shared_ptr<SolverClass>>(
      module, "Solver", py::dynamic_attr(),
      "Trains a net.\n\n"
      "Ctrl-C during step and solve raises KeyboardInterrupt after the iteration that is running; the "
      "solver\n"
      "can go on afterwards.")
      .def_property_readonly(
          "net",
          [](const py::object& self) {
            return KeptAttribute(self, "_net", [&] { return py::cast(self.cast<SolverClass&>().net()); });
          },
          "The net that is trained.")
      .def_property_readonly(
          "test_nets",
          [](const py::object& self) {
            return KeptAttribute(self, "_test_nets",
                                 [&] { return py::cast(self.cast<SolverClass&>().test_nets()); });
          },
          "The nets that are tested, which share the parameters of the trained one.")
      .def_property_readonly("iter", &SolverClass::iter, "How many updates were made.")
      .def_property_readonly("type", [](const SolverClass& solver) { return std::string(solver.type()); })
      .def_property_readonly("param", &SolverClass::param, py::return_value_policy::reference_internal,
                             "The definition.")
      .def("add_callback", &AddCallback, py::arg("on_start"), py::arg("on_gradients_ready"),
           "Calls on_start() before the first pass of each iteration, and on_gradients_ready() before its\n"
           "update.")
      .def(
          "solve",
          [](SolverClass& solver, const std::optional<Path>& resume_file) {
            solver.Solve(resume_file ? resume_file->c_str() : nullptr);
          },
          ReleaseGil(), py::arg("resume_file") = py::none(),
          "Trains up to max_iter, from the start or from a .solverstate.")
      .def("step", &SolverClass::Step, ReleaseGil(), py::arg("iterations"),
           "Trains for some iterations, testing and taking snapshots when they are due.")
      .def(
          "restore", [](SolverClass& solver, const Path& state_file) { solver.Restore(state_file.c_str()); },
          ReleaseGil(), py::arg("state_file"), "Goes back to a .solverstate and the weights it names.")
      .def("restore_latest", &SolverClass::RestoreLatest, ReleaseGil(),
           "Goes back to the newest whole snapshot of snapshot_prefix, and returns its file; \"\" where "
           "there is "
           "none.")
      .def("snapshot", &SolverClass::Snapshot, ReleaseGil(), "Saves weights and state.")
      .def(
          "share_weights",
          [](SolverClass& solver, const Net<Dtype>& net) { solver.net()->ShareTrainedLayersWith(&net); },
          py::arg("net"), "Shares the parameters of a net.")
      .def("apply_update", &SolverClass::ApplyUpdate, ReleaseGil(),
           "Changes the weights by their gradients.");
  BindTypes(module);
  BindSolverActions(module);

  module.def(
      "newest_snapshot", [](const Path& prefix) { return NewestSnapshot(prefix.string()); }, ReleaseGil(),
      py::arg("prefix"),
      "The .solverstate of the newest snapshot PREFIX_iter_N that is whole, with its weights; \"\" where "
      "there is\n"
      "none. What is damaged is passed over, with a warning.");
  module.def("get_solver", &SolverFromFile, ReleaseGil(), py::arg("solver_file"),
             "The solver that a prototxt file defines, of the type it names.");
  module.def(
      "get_solver_from_bytes",
      [](const std::string& message) { return MakeSolver(ParseMessage<SolverParameter>(message)); },
      ReleaseGil(), py::arg("message"), "The solver that a serialized SolverParameter defines.");
}

}  // namespace python
}  // namespace caffe
