// Training on several GPUs.
#include "caffe/parallel.hpp"

#include <optional>

#include "bindings.hpp"
#include "caffe/solver.hpp"
#include "callbacks.hpp"
#include "solver_actions.hpp"

namespace caffe {
namespace python {

namespace {

using NetClass = Net<Dtype>;

#ifdef USE_NCCL

constexpr bool kHasNccl = true;
using Nccl = NCCL<Dtype>;

#else

constexpr bool kHasNccl = false;

// Stands where NCCL would; none is ever made.
class Nccl : public SolverClass::Callback, public NetClass::Callback {
 public:
  explicit Nccl(const std::shared_ptr<SolverClass>&) { ThrowNoNccl(); }
  Nccl(const std::shared_ptr<SolverClass>&, const std::string&) { ThrowNoNccl(); }
  static std::string new_uid() { ThrowNoNccl(); }
  void Broadcast() { ThrowNoNccl(); }
  void Run(const std::vector<int>&, const char*) { ThrowNoNccl(); }

 protected:
  void on_start() override {}
  void on_gradients_ready() override {}
  void run(int) override {}

 private:
  [[noreturn]] static void ThrowNoNccl() {
#ifdef CPU_ONLY
    NO_GPU;
#endif
    LOG(FATAL) << "this needs NCCL, but Caffe was built without it: train on one GPU or on the CPU, or build "
                  "with CUDA and NCCL";
  }
};

#endif  // USE_NCCL

// The end of a connection waits for the other solvers, which may need the interpreter.
void Delete(Nccl* nccl) {
  py::gil_scoped_release release;
  delete nccl;
}

std::shared_ptr<Nccl> Connect(const std::shared_ptr<SolverClass>& solver, const std::string& uid) {
  py::gil_scoped_release release;
  return std::shared_ptr<Nccl>(new Nccl(solver, uid), &Delete);
}

void Solve(const std::shared_ptr<SolverClass>& solver, const std::vector<int>& gpus,
           const std::optional<Path>& snapshot) {
  Nccl(solver).Run(gpus, snapshot ? snapshot->c_str() : nullptr);
}

}  // namespace

void BindParallel(py::module_& module) {
  module.def("has_nccl", [] { return kHasNccl; }, "Whether training on several GPUs is built in.");
  py::class_<Nccl, std::shared_ptr<Nccl>>(
      module, "NCCL",
      "NCCL(solver, uid): averages the gradients of solvers on several GPUs, each in a process or thread of\n"
      "its own, which sets solver_count and solver_rank before it makes its solver. Waits for the others.\n"
      "Everything here raises caffe.Error in a build without NCCL.")
      .def(py::init(&Connect), py::arg("solver").none(false), py::arg("uid"))
      .def_static(
          "new_uid", [] { return py::bytes(Nccl::new_uid()); }, "A name that the solvers meet by.")
      .def("bcast", &Nccl::Broadcast, ReleaseGil(),
           "Gives all solvers the weights of solver 0. All call it.");

  // Overloads of what takes functions.
  auto solver =
      py::reinterpret_borrow<py::class_<SolverClass, std::shared_ptr<SolverClass>>>(module.attr("Solver"));
  solver.def(
      "add_callback",
      [](const py::object& self, const std::shared_ptr<Nccl>& nccl) {
        KeepWith(self, py::cast(nccl));
        self.cast<SolverClass&>().add_callback(nccl.get());
      },
      py::arg("nccl"), "Averages the gradients with those of other solvers before each update.");
  auto net = py::reinterpret_borrow<py::class_<NetClass, std::shared_ptr<NetClass>>>(module.attr("Net"));
  net.def(
      "after_backward",
      [](const py::object& self, const std::shared_ptr<Nccl>& nccl) {
        KeepWith(self, py::cast(nccl));
        self.cast<NetClass&>().add_after_backward(nccl.get());
      },
      py::arg("nccl"), "Sends the gradients of the last layers while those of earlier ones are computed.");

  module.def(
      "solve_on_gpus", &Solve, ReleaseGil(), py::arg("solver").none(false), py::arg("gpus"),
      py::arg("snapshot") = py::none(),
      "Trains as Solver.solve does, on these GPUs, each in a thread of its own. The solver was made in\n"
      "GPU mode on the first of them, after set_solver_count(len(gpus)), and restored from the "
      "snapshot\n"
      "where one is given.");
}

}  // namespace python
}  // namespace caffe
