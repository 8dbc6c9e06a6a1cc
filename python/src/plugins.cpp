#include "bindings.hpp"
#include "caffe/util/plugin.hpp"

namespace caffe {
namespace python {

void BindPlugins(py::module_& module) {
  module.def(
      "load_plugin", [](const Path& path) { LoadPlugin(path.string()); }, ReleaseGil(), py::arg("path"),
      "Loads a shared library with layers and solvers of others, which nets may then use.\n\n"
      "It stays loaded. Raises caffe.Error where it is no library that fits this Caffe, or has a type that\n"
      "is there already.");
}

}  // namespace python
}  // namespace caffe
