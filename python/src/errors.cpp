#include "bindings.hpp"
#include "caffe/util/logging.hpp"

namespace caffe {
namespace python {

namespace {

// Lives as long as the process: errors may be translated while the interpreter takes its modules apart.
PyObject* error_class = nullptr;

void RaiseInPython(const Error& error) {
  py::object instance = py::reinterpret_borrow<py::object>(error_class)(error.what());
  instance.attr("message") = error.message();
  instance.attr("layer_name") = error.layer_name();
  instance.attr("layer_type") = error.layer_type();
  instance.attr("file") = error.file();
  PyErr_SetObject(error_class, instance.ptr());
}

}  // namespace

void BindErrors(py::module_& module) {
  py::dict defaults;
  for (const char* attribute : {"message", "layer_name", "layer_type", "file"}) defaults[attribute] = "";
  error_class = PyErr_NewExceptionWithDoc(
      "caffe.Error",
      "What goes wrong in the engine.\n\n"
      "``str(error)`` names the file and the layer at fault and says what is wrong. Attributes, each empty\n"
      "where it does not apply: ``message`` (what is wrong alone), ``layer_name``, ``layer_type``, ``file``.",
      PyExc_RuntimeError, defaults.ptr());
  if (error_class == nullptr) throw py::error_already_set();
  module.add_object("Error", py::reinterpret_borrow<py::object>(error_class));
  py::register_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const Error& error) {
      RaiseInPython(error);
    }
  });
}

}  // namespace python
}  // namespace caffe
