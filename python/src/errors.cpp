#include "bindings.hpp"
#include "caffe/util/logging.hpp"

namespace caffe {
namespace python {

namespace {

// Lives as long as the interpreter, which may outlive the module's own references.
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
  error_class = PyErr_NewExceptionWithDoc("caffe.Error",
                                          "An error of the engine. Attributes: message, layer_name, "
                                          "layer_type, file (empty where they do not apply).",
                                          PyExc_RuntimeError, nullptr);
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
