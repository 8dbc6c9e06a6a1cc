#include "caffe/util/logging.hpp"

#include <unistd.h>

#include <cstdio>

#include "bindings.hpp"

namespace caffe {
namespace python {

void BindLogging(py::module_& module) {
  // Lines go to standard error, or, without `stderr`, nowhere: what init_log(level, False) asks for.
  const auto init = [](int level, bool to_stderr) {
    logging::SetMinSeverity(level);
    if (to_stderr) {
      logging::SetSink(nullptr);
    } else {
      logging::SetSink([](logging::Severity, const std::string&, const std::string&) {});
    }
  };
  module.def("init_log", [init] { init(0, true); }, "Logs everything to standard error.");
  module.def(
      "init_log", [init](int level) { init(level, true); }, py::arg("level"),
      "Logs lines of at least this level (0 info, 1 warning, 2 error) to standard error.");
  module.def("init_log", init, py::arg("level"), py::arg("stderr"));
  module.def(
      "log", [](const std::string& message) { LOG(INFO) << message; }, py::arg("message"),
      "Writes a line to the log.");
}

}  // namespace python
}  // namespace caffe
