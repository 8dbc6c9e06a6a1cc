#include <utility>

#include "bindings.hpp"
#include "caffe/layer_factory.hpp"
#include "caffe/util/gpu_memory.hpp"

namespace caffe {
namespace python {

namespace {

std::string DeviceName(int device_id) {
#ifdef CPU_ONLY
  (void)device_id;
  NO_GPU;
#else
  cudaDeviceProp properties;
  CUDA_CHECK(cudaGetDeviceProperties(&properties, device_id));
  return properties.name;
#endif
}

std::pair<size_t, size_t> GpuMemory() {
#ifdef CPU_ONLY
  NO_GPU;
#else
  const GpuMemoryUse use = GetGpuMemoryUse();
  return {use.now, use.peak};
#endif
}

}  // namespace

void BindDevice(py::module_& module) {
  module.def("set_mode_cpu", [] { Caffe::set_mode(Caffe::CPU); }, "Computes on the CPU from now on.");
  module.def(
      "set_mode_gpu",
      [] {
        // Here and not at the first layer a script learns that there is no GPU.
        Caffe::device_count();
        Caffe::set_mode(Caffe::GPU);
      },
      "Computes on the GPU from now on. Raises caffe.Error in a build without CUDA, and without a GPU or "
      "driver.");
  module.def(
      "set_device", &Caffe::SetDevice, py::arg("device_id"),
      "Chooses the GPU of this thread. Raises caffe.Error where it does not exist, and as set_mode_gpu.");
  module.def("device_query", &Caffe::DeviceQuery,
             "Logs the properties of this thread's GPU. Raises caffe.Error as set_mode_gpu.");
  module.def("device_count", &Caffe::device_count,
             "How many GPUs there are, at least one. Raises caffe.Error as set_mode_gpu.");
  module.def("device_name", &DeviceName, py::arg("device_id"),
             "What a GPU is called. Raises caffe.Error where it does not exist, and as set_mode_gpu.");
  module.def(
      "gpu_memory", &GpuMemory,
      "Bytes that this process's blobs and layers take on this thread's GPU, now and at most so far. Raises "
      "caffe.Error as set_mode_gpu.");
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
