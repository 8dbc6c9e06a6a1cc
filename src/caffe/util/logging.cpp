#include "caffe/util/logging.hpp"

#include "caffe/compat/glog/logging.h"

#include <sys/time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <mutex>

#include "caffe/util/fork.hpp"
#include "caffe/util/log_file.hpp"

namespace {

int IntFromEnvironment(const char* name) {
  const char* value = std::getenv(name);
  return value ? std::atoi(value) : 0;
}

std::string TextFromEnvironment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

DEFINE_int32(minloglevel, IntFromEnvironment("GLOG_minloglevel"),
             "severity from which lines are logged: 0 info, 1 warning, 2 error");
DEFINE_int32(v, IntFromEnvironment("GLOG_v"), "verbosity up to which VLOG lines are logged");
// The log goes to standard error in any case; scripts written for glog pass these.
DEFINE_bool(logtostderr, true, "log to standard error (always so)");
DEFINE_bool(alsologtostderr, true, "log to standard error (always so)");
DEFINE_bool(colorlogtostderr, false, "accepted for old scripts; lines have no colours");
DEFINE_bool(log_prefix, true, "accepted for old scripts; lines always have their prefix");
DEFINE_int32(stderrthreshold, 0, "accepted for old scripts; see minloglevel");
DEFINE_string(log_dir, TextFromEnvironment("GLOG_log_dir"), "folder of a file that the log goes to as well");

namespace caffe {

namespace {

std::string Describe(const std::string& message, const std::string& layer_name, const std::string& layer_type,
                     const std::string& file) {
  std::string text;
  if (!file.empty() && message.find(file) == std::string::npos) text += file + ": ";
  if (!layer_name.empty() || !layer_type.empty()) {
    text += "layer '" + layer_name + "'";
    if (!layer_type.empty()) text += " (" + layer_type + ")";
    text += ": ";
  }
  return text + message;
}

}  // namespace

Error::Error(const std::string& message, const std::string& layer_name, const std::string& layer_type,
             const std::string& file)
    : std::runtime_error(Describe(message, layer_name, layer_type, file)),
      message_(message),
      layer_name_(layer_name),
      layer_type_(layer_type),
      file_(file) {}

Error Error::WithLayer(const std::string& name, const std::string& type) const {
  if (!layer_name_.empty() || !layer_type_.empty()) return *this;
  return Error(message_, name, type, file_);
}

Error Error::WithFile(const std::string& file) const {
  if (!file_.empty()) return *this;
  return Error(message_, layer_name_, layer_type_, file);
}

namespace logging {

namespace {

struct SinkSlot {
  std::mutex mutex;
  std::shared_ptr<const Sink> sink;
};

SinkSlot& TheSink() {
  // Never destroyed: threads may still log while the process winds down.
  static SinkSlot* slot = new SinkSlot;
  return *slot;
}

std::mutex& SinkMutex() { return TheSink().mutex; }
const int sink_at_fork = FreeAtFork<SinkMutex>();

std::string Prefix(Severity severity, const char* file, int line) {
  timeval now;
  gettimeofday(&now, nullptr);
  tm local;
  {
    // The C library locks its time zone meanwhile, and would leave it locked in a child of fork().
    const std::lock_guard<std::mutex> lock(SinkMutex());
    localtime_r(&now.tv_sec, &local);
  }
  const char* base = std::strrchr(file, '/');
  char text[256];
  std::snprintf(text, sizeof(text), "%c%02d%02d %02d:%02d:%02d.%06ld %5d %s:%d] ", "IWEF"[severity],
                local.tm_mon + 1, local.tm_mday, local.tm_hour, local.tm_min, local.tm_sec,
                static_cast<long>(now.tv_usec), static_cast<int>(getpid()), base ? base + 1 : file, line);
  return text;
}

}  // namespace

void SetMinSeverity(int severity) { __atomic_store_n(&FLAGS_minloglevel, severity, __ATOMIC_RELAXED); }

int MinSeverity() { return __atomic_load_n(&FLAGS_minloglevel, __ATOMIC_RELAXED); }

int Verbosity() { return __atomic_load_n(&FLAGS_v, __ATOMIC_RELAXED); }

void SetSink(Sink sink) {
  SinkSlot& slot = TheSink();
  std::lock_guard<std::mutex> lock(slot.mutex);
  slot.sink = sink ? std::make_shared<const Sink>(std::move(sink)) : nullptr;
}

void Write(Severity severity, const char* file, int line, const std::string& message) {
  if (severity < MinSeverity()) return;
  const std::string text = Prefix(severity, file, line) + message;
  CopyToLogFile(text);
  SinkSlot& slot = TheSink();
  std::shared_ptr<const Sink> sink;
  {
    std::lock_guard<std::mutex> lock(slot.mutex);
    sink = slot.sink;
  }
  // Called outside the lock: a sink may itself log, or wait for a lock (Python's) that a logging thread
  // holds.
  if (sink) {
    (*sink)(severity, text, message);
  } else {
    const std::string whole_line = text + "\n";
    std::fwrite(whole_line.data(), 1, whole_line.size(), stderr);
  }
}

void Writer::operator&(std::ostream& stream) const {
  const Message& message = static_cast<Message&>(stream);
  Write(message.severity(), message.file(), message.line(), message.str());
}

void Thrower::operator&(std::ostream& stream) const {
  std::string text = static_cast<Message&>(stream).str();
  while (!text.empty() && text.back() == ' ') text.pop_back();
  throw Error(text);
}

}  // namespace logging
}  // namespace caffe
