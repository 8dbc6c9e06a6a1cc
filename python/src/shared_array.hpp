#ifndef CAFFE_PYTHON_SHARED_ARRAY_HPP_
#define CAFFE_PYTHON_SHARED_ARRAY_HPP_

#include <memory>

#include "bindings.hpp"

namespace caffe {
namespace python {

/// A blob's values or its gradient, for libraries that take arrays without copying them.
struct SharedArray {
  std::shared_ptr<Blob<Dtype>> blob;
  bool is_gradient;

  const std::shared_ptr<SyncedMemory>& memory() const { return is_gradient ? blob->diff() : blob->data(); }
};

/// A dictionary as version 3 of the CUDA array interface has it.
/// @throws py::attribute_error unless the mode is GPU, in which alone there is memory on a GPU to tell of.
py::dict CudaArrayInterface(const SharedArray& array);

/// The device on which ToDlpack shares: the type and the number, of the GPU in GPU mode and else of the host.
py::tuple DlpackDevice();

/// A capsule for from_dlpack; the arguments are those of __dlpack__ in the Python array API.
py::capsule ToDlpack(const SharedArray& array, const py::object& stream, const py::object& max_version,
                     const py::object& dl_device, const py::object& copy);

}  // namespace python
}  // namespace caffe

#endif  // CAFFE_PYTHON_SHARED_ARRAY_HPP_
