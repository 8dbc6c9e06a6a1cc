#include "bindings.hpp"
#include "caffe/layer_factory.hpp"

namespace caffe {
namespace python {

void BindDevice(py::module_& module) {
  module.def("set_mode_cpu", [] { Caffe::set_mode(Caffe::CPU); }, "Computes on the CPU from now on.");
  module.def(
      "set_mode_gpu",
      [] {
#ifdef CPU_ONLY
        NO_GPU;
#else
        Caffe::set_mode(Caffe::GPU);
#endif
      },
      "Computes on the GPU from now on. Raises caffe.Error in a build without CUDA.");
  module.def("set_device", &Caffe::SetDevice, py::arg("device_id"),
             "Chooses the GPU of this thread. Raises caffe.Error in a build without CUDA.");
  module.def("device_query", &Caffe::DeviceQuery,
             "Logs the properties of this thread's GPU. Raises caffe.Error in a build without CUDA.");
  module.def(
      "set_random_seed", [](unsigned int seed) { Caffe::set_random_seed(seed); }, py::arg("seed"),
      "Restarts this thread's random generator: the same seed gives the same numbers.");
  module.def("solver_count", &Caffe::solver_count, "How many solvers train together.");
  module.def("set_solver_count", &Caffe::set_solver_count, py::arg("count"));
  module.def("solver_rank", &Caffe::solver_rank,
             "The number of this thread's solver; solver 0 logs, tests and snapshots.");
  module.def("set_solver_rank", &Caffe::set_solver_rank, py::arg("rank"));
  module.def("set_multiprocess", &Caffe::set_multiprocess, py::arg("multiprocess"),
             "Says whether each solver is a process of its own.");
  module.def("layer_type_list", &LayerRegistry<Dtype>::LayerTypeList,
             "The types of layers that nets can use.");
}

}  // namespace python
}  // namespace caffe
