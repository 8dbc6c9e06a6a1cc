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
  BindPythonLayer(module);
  BindNet(module);
  BindSolver(module);
  BindTrainingWatch(module);
  BindParallel(module);
  BindProcesses(module);
  BindTimer(module);
  BindMessages(module);
  BindDatabase(module);
  BindImageSet(module);
  BindUpgrade(module);
  BindPlugins(module);
  BindPackedNet(module);
  // Vectors of values are plain lists here; Caffe's names for them stay.
  for (const char* name :
       {"RawBlobVec", "LayerVec", "StringVec", "IntVec", "DtypeVec", "NetVec", "BoolVec"}) {
    module.attr(name) = pybind11::module_::import("builtins").attr("list");
  }
}
