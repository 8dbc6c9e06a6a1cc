#ifndef CAFFE_PYTHON_BINDINGS_HPP_
#define CAFFE_PYTHON_BINDINGS_HPP_

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/net.hpp"

namespace caffe {
namespace python {

namespace py = pybind11;

/// The scalar type of nets seen from Python, as in pycaffe.
using Dtype = float;

using BlobVec = std::vector<std::shared_ptr<Blob<Dtype>>>;

using ReleaseGil = py::call_guard<py::gil_scoped_release>;

void BindErrors(py::module_& module);
void BindLogging(py::module_& module);
void BindDevice(py::module_& module);
void BindBlob(py::module_& module);
void BindLayer(py::module_& module);
void BindNet(py::module_& module);
void BindSolver(py::module_& module);
void BindTools(py::module_& module);

}  // namespace python
}  // namespace caffe

// Vectors of blobs are handed out by reference, so that what is appended in Python reaches the layer.
PYBIND11_MAKE_OPAQUE(caffe::python::BlobVec)

#endif  // CAFFE_PYTHON_BINDINGS_HPP_
