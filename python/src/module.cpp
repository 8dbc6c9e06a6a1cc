#include "bindings.hpp"

PYBIND11_MODULE(_caffe, module) {
  module.doc() = "The compiled engine behind the package caffe.";
  module.attr("__version__") = CAFFE_VERSION;
  using namespace caffe::python;
  BindErrors(module);
  BindLogging(module);
  BindDevice(module);
  BindBlob(module);
  BindLayer(module);
  BindNet(module);
  BindSolver(module);
  BindTools(module);
}
