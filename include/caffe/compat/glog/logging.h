#ifndef CAFFE_COMPAT_GLOG_LOGGING_H_
#define CAFFE_COMPAT_GLOG_LOGGING_H_

/// @file
/// The part of glog's interface that programs written for Caffe use, over caffe/util/logging.hpp.
///
/// Where glog itself was included before, its functions stay and its macros give way; where it comes later,
/// its header finds its work done. A failed CHECK and LOG(FATAL) throw caffe::Error in either case.

#include "caffe/util/log_file.hpp"
#include "caffe/util/logging.hpp"

#if !defined(GLOG_LOGGING_H) && !defined(_LOGGING_H_)
#define GLOG_LOGGING_H
#define _LOGGING_H_

#include "caffe/compat/gflags/gflags.h"

DECLARE_bool(alsologtostderr);
DECLARE_bool(colorlogtostderr);
DECLARE_bool(log_prefix);
DECLARE_bool(logtostderr);
DECLARE_int32(minloglevel);
DECLARE_int32(stderrthreshold);
DECLARE_int32(v);
DECLARE_string(log_dir);

namespace google {

typedef int LogSeverity;
constexpr LogSeverity GLOG_INFO = ::caffe::logging::INFO;
constexpr LogSeverity GLOG_WARNING = ::caffe::logging::WARNING;
constexpr LogSeverity GLOG_ERROR = ::caffe::logging::ERROR;
constexpr LogSeverity GLOG_FATAL = ::caffe::logging::FATAL;
constexpr LogSeverity INFO = GLOG_INFO;
constexpr LogSeverity WARNING = GLOG_WARNING;
constexpr LogSeverity ERROR = GLOG_ERROR;
constexpr LogSeverity FATAL = GLOG_FATAL;

/// Opens the log's file where FLAGS_log_dir names a folder for it; standard error needs no preparation.
inline void InitGoogleLogging(const char* argv0) {
  if (FLAGS_log_dir.empty()) return;
  const ::std::string path = argv0;
  ::caffe::logging::OpenLogFile(FLAGS_log_dir, path.substr(path.rfind('/') + 1));
}

// Lines are written at once, and errors are exceptions, which unwind to whoever handles them.
inline void ShutdownGoogleLogging() { ::caffe::logging::CloseLogFile(); }
inline bool IsGoogleLoggingInitialized() { return true; }
inline void InstallFailureSignalHandler() {}
inline void InstallFailureFunction(void (*)()) {}
inline void FlushLogFiles(LogSeverity) {}
inline void FlushLogFilesUnsafe(LogSeverity) {}
inline void LogToStderr() {}
inline void SetLogDestination(LogSeverity, const char* /* file */) {}
inline void SetLogFilenameExtension(const char*) {}
/// Lines below `severity` go nowhere: standard error is the only destination.
inline void SetStderrLogging(LogSeverity severity) { ::caffe::logging::SetMinSeverity(severity); }

}  // namespace google

#endif  // !GLOG_LOGGING_H && !_LOGGING_H_

#endif  // CAFFE_COMPAT_GLOG_LOGGING_H_
