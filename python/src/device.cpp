#include "bindings.hpp"
#include "caffe/layer_factory.hpp"
#include "caffe/util/parallel_for.hpp"

namespace caffe {
namespace python {

void BindDevice(py::module_& module) {
  module.def("set_mode_cpu", [] { Caffe::set_mode(Caffe::CPU); }, "Computes on the CPU from now on.");
  module.def(
      "set_mode_gpu",
      [] {
#ifdef CPU_ONLY
        NO_GPU;
#endif
        Caffe::set_mode(Caffe::GPU);
      },
      "Computes on the GPU from now on. Raises caffe.Error in a build without CUDA.");
  module.def("set_device", &Caffe::SetDevice, py::arg("device_id"), "Chooses the GPU of this thread.");
  module.def("device_query", &Caffe::DeviceQuery, "Logs the properties of the current GPU.");
  module.def(
      "set_random_seed", [](unsigned int seed) { Caffe::set_random_seed(seed); }, py::arg("seed"),
      "Restarts the random generator: the same seed gives the same numbers.");
  module.def("solver_count", &Caffe::solver_count);
  module.def("set_solver_count", &Caffe::set_solver_count, py::arg("count"));
  module.def("solver_rank", &Caffe::solver_rank);
  module.def("set_solver_rank", &Caffe::set_solver_rank, py::arg("rank"));
  module.def("set_multiprocess", &Caffe::set_multiprocess, py::arg("multiprocess"));
  module.def("has_nccl", [] { return false; }, "Whether training on several GPUs is built in.");
  module.def("layer_type_list", &LayerRegistry<Dtype>::LayerTypeList,
             "The types of layers that nets can use.");
  module.def("set_threads", &SetParallelThreads, py::arg("threads"),
             "Sets the number of threads to compute with.");
  module.def("threads", &ParallelThreads, "The number of threads to compute with.");
}

}  // namespace python
}  // namespace caffe
