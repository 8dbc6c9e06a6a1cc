// Training on several GPUs, which this build does not have.
#include "bindings.hpp"
#include "caffe/solver.hpp"

namespace caffe {
namespace python {

namespace {

struct Nccl {};

[[noreturn]] void ThrowNoNccl() {
  LOG(FATAL) << "this needs NCCL, but Caffe was built without CUDA: train in one process, or build with CUDA "
                "and NCCL";
}

}  // namespace

void BindParallel(py::module_& module) {
  module.def("has_nccl", [] { return false; }, "Whether training on several GPUs is built in.");
  py::class_<Nccl, std::shared_ptr<Nccl>>(module, "NCCL",
                                          "Adds up the gradients of solvers on several GPUs.\n\n"
                                          "Everything here raises caffe.Error in a build without CUDA.")
      .def(py::init([](const py::object&, const py::object&) -> std::shared_ptr<Nccl> { ThrowNoNccl(); }),
           py::arg("solver"), py::arg("uid"))
      .def_static(
          "new_uid", []() -> std::string { ThrowNoNccl(); }, "A name that the solvers' processes meet by.")
      .def("bcast", [](const Nccl&) { ThrowNoNccl(); }, "Gives all solvers the weights of solver 0.");
}

}  // namespace python
}  // namespace caffe
