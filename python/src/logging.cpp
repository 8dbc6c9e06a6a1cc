#include "caffe/util/logging.hpp"

#include "bindings.hpp"
#include "caffe/util/log_file.hpp"

namespace caffe {
namespace python {

namespace {

void InitLog(int level, bool to_stderr) {
  logging::SetMinSeverity(level);
  // A file has the log either way.
  if (to_stderr) {
    logging::SetSink(nullptr);
  } else {
    logging::SetSink([](logging::Severity, const std::string&, const std::string&) {});
  }
}

logging::Severity SeverityOf(int level) {
  CHECK(level >= logging::INFO && level <= logging::ERROR)
      << "a line of the log is of level 0 (info), 1 (warning) or 2 (error), not " << level;
  return static_cast<logging::Severity>(level);
}

}  // namespace

void BindLogging(py::module_& module) {
  module.def("init_log", &InitLog, py::arg("level") = 0, py::arg("stderr") = true,
             "Logs lines of at least this level (0 info, 1 warning, 2 error) to standard error, or, without\n"
             "``stderr``, not there.");
  module.def("log_level", &logging::MinSeverity, "The level from which on lines are logged.");
  module.def(
      "log_to_folder",
      [](const Path& folder, const std::string& program) {
        return logging::OpenLogFile(folder.string(), program);
      },
      py::arg("folder"), py::arg("program"),
      "From now on the log goes to a new file in the folder too, PROGRAM.HOST.USER.log.INFO.TIME.PID, to "
      "which\n"
      "the link PROGRAM.INFO leads. The file's path.");
  module.def(
      "log", [](const std::string& message) { LOG(INFO) << message; }, py::arg("message"),
      "Writes a line to the log.");
  module.def(
      "log_from",
      [](const std::string& file, int line, const std::string& message, int level) {
        logging::Write(SeverityOf(level), file.c_str(), line, message);
      },
      py::arg("file"), py::arg("line"), py::arg("message"), py::arg("level") = 0,
      "Writes a line to the log that names a place in Python's source.");
}

}  // namespace python
}  // namespace caffe
