#ifndef CAFFE_PYTHON_BINDINGS_HPP_
#define CAFFE_PYTHON_BINDINGS_HPP_

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <filesystem>
#include <memory>
#include <string>
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

/// A file's name: a str, bytes or os.PathLike.
using Path = std::filesystem::path;

/// For what computes, reads or writes: other Python threads run meanwhile.
using ReleaseGil = py::call_guard<py::gil_scoped_release>;

/// Parses a message that Python has serialized. @throws Error naming the message's type.
template <typename Message>
Message ParseMessage(const std::string& bytes) {
  Message message;
  CHECK(message.ParseFromString(bytes)) << "these bytes are no serialized " << Message::descriptor()->name();
  return message;
}

// Each binds one topic.
void BindErrors(py::module_& module);
void BindLogging(py::module_& module);
void BindDevice(py::module_& module);
void BindBlob(py::module_& module);
void BindLayer(py::module_& module);
void BindPythonLayer(py::module_& module);
void BindNet(py::module_& module);
void BindSolver(py::module_& module);
void BindTrainingWatch(py::module_& module);
void BindParallel(py::module_& module);
void BindProcesses(py::module_& module);
void BindTimer(py::module_& module);
void BindMessages(py::module_& module);
void BindDatabase(py::module_& module);
void BindImageSet(py::module_& module);
void BindUpgrade(py::module_& module);
void BindPlugins(py::module_& module);
void BindPackedNet(py::module_& module);

}  // namespace python
}  // namespace caffe

// A layer's vector of blobs is handed out by reference, so that what is appended in Python reaches the layer.
PYBIND11_MAKE_OPAQUE(caffe::python::BlobVec)

#endif  // CAFFE_PYTHON_BINDINGS_HPP_
