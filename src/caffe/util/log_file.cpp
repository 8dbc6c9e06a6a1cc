#include "caffe/util/log_file.hpp"

#include <pwd.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <ctime>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>

#include "caffe/util/fork.hpp"
#include "caffe/util/logging.hpp"

namespace caffe {
namespace logging {

namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
typedef std::unique_ptr<std::FILE, CloseFile> FileHandle;

struct LogFile {
  std::mutex mutex;
  FileHandle file;
};

LogFile& TheLogFile() {
  // Never destroyed: threads may still log while the process winds down.
  static LogFile* const log_file = new LogFile;
  return *log_file;
}

std::mutex& LogFileMutex() { return TheLogFile().mutex; }
const int log_file_at_fork = FreeAtFork<LogFileMutex>();

std::string HostName() {
  char name[HOST_NAME_MAX + 1] = "";
  return gethostname(name, sizeof(name)) == 0 && name[0] != '\0' ? name : "(unknown)";
}

std::string UserName() {
  const passwd* user = getpwuid(geteuid());
  return user ? user->pw_name : "uid" + std::to_string(geteuid());
}

std::string Formatted(const char* format, const tm& time) {
  char text[64];
  return std::string(text, std::strftime(text, sizeof(text), format, &time));
}

}  // namespace

std::string OpenLogFile(const std::string& folder, const std::string& program) {
  const time_t now = std::time(nullptr);
  tm local;
  localtime_r(&now, &local);
  const std::string name = program + "." + HostName() + "." + UserName() + ".log.INFO." +
                           Formatted("%Y%m%d-%H%M%S", local) + "." + std::to_string(getpid());
  const std::string path = folder + "/" + name;
  FileHandle file(std::fopen(path.c_str(), "ae"));
  if (!file) {
    throw Error("cannot write the log to '" + path + "': " + std::generic_category().message(errno), "", "",
                path);
  }
  std::fprintf(file.get(), "Log file created at: %s\nRunning on machine: %s\n",
               Formatted("%Y/%m/%d %H:%M:%S", local).c_str(), HostName().c_str());
  std::fputs("Log line format: [IWEF]mmdd hh:mm:ss.uuuuuu threadid file:line] msg\n", file.get());
  std::fflush(file.get());
  const std::string link = folder + "/" + program + ".INFO";
  unlink(link.c_str());
  LOG_IF(WARNING, symlink(name.c_str(), link.c_str()) != 0)
      << "cannot link '" << link << "' to the log: " << std::generic_category().message(errno);

  LogFile& log_file = TheLogFile();
  const std::lock_guard<std::mutex> lock(log_file.mutex);
  log_file.file = std::move(file);
  return path;
}

void CloseLogFile() {
  LogFile& log_file = TheLogFile();
  const std::lock_guard<std::mutex> lock(log_file.mutex);
  log_file.file.reset();
}

void CopyToLogFile(const std::string& line) {
  LogFile& log_file = TheLogFile();
  const std::lock_guard<std::mutex> lock(log_file.mutex);
  if (!log_file.file) return;
  const std::string whole_line = line + "\n";
  std::fwrite(whole_line.data(), 1, whole_line.size(), log_file.file.get());
  std::fflush(log_file.file.get());
}

}  // namespace logging
}  // namespace caffe
