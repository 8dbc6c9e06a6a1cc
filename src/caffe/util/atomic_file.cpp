#include "caffe/util/atomic_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

namespace caffe {

namespace fs = std::filesystem;

namespace {

template <typename Call>
auto RetryInterrupted(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

// Makes a rename in the folder last. Some file systems cannot sync a folder and some users may not open it
// for reading; the file itself is safe by then, so only a real failure counts.
bool SyncFolder(const string& folder) {
  const int descriptor =
      RetryInterrupted([&] { return open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (descriptor < 0) return true;
  const int result = RetryInterrupted([&] { return fsync(descriptor); });
  const int error_number = errno;
  close(descriptor);
  errno = error_number;
  return result == 0 || (error_number != EIO && error_number != ENOSPC && error_number != EDQUOT);
}

string FolderOf(const string& path) {
  const string folder = fs::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

}  // namespace

AtomicFile::AtomicFile(const string& path) : path_(path), target_(path) {
  std::error_code ignored;
  const fs::path resolved = fs::canonical(path, ignored);
  if (!resolved.empty()) target_ = resolved.string();

  struct stat status;
  const bool exists = stat(target_.c_str(), &status) == 0;
  if (exists && S_ISDIR(status.st_mode)) Fail(EISDIR);
  // Renaming would replace a file whose owner made it read-only.
  if (exists && access(target_.c_str(), W_OK) != 0) Fail(errno);
  if (exists && !S_ISREG(status.st_mode)) {
    direct_ = true;
    temp_path_ = target_;
    descriptor_ = RetryInterrupted([&] { return open(target_.c_str(), O_WRONLY | O_CLOEXEC); });
    if (descriptor_ < 0) Fail(errno);
    return;
  }
  OpenTemporary();
  if (exists) {
    // As far as the system lets: only root may give files away, and not every file system has modes.
    (void)!fchown(descriptor_, status.st_uid, status.st_gid);
    (void)!fchmod(descriptor_, status.st_mode & 0777);
  }
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  close(descriptor_);
  if (!direct_) unlink(temp_path_.c_str());
}

void AtomicFile::OpenTemporary() {
  static std::atomic<unsigned> counter{0};
  const string stem = FolderOf(target_) + "/.caffe-" + std::to_string(getpid()) + "-";
  do {
    temp_path_ = stem + std::to_string(counter++) + ".tmp";
    descriptor_ = RetryInterrupted(
        [&] { return open(temp_path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666); });
  } while (descriptor_ < 0 && errno == EEXIST);
  if (descriptor_ < 0) Fail(errno);
}

void AtomicFile::Write(const void* data, size_t size) {
  const char* rest = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t written = RetryInterrupted([&] { return write(descriptor_, rest, size); });
    if (written < 0) Fail(errno);
    rest += written;
    size -= written;
  }
}

void AtomicFile::Commit() {
  CHECK_GE(descriptor_, 0) << "a file is committed once: " << path_;
  // A pipe cannot be synced, nor need it be.
  if (RetryInterrupted([&] { return fsync(descriptor_); }) != 0 && !direct_) Fail(errno);
  if (!direct_ && std::rename(temp_path_.c_str(), target_.c_str()) != 0) Fail(errno);
  const int descriptor = descriptor_;
  descriptor_ = -1;
  // Linux closes the descriptor even where close() is interrupted.
  if (close(descriptor) != 0 && errno != EINTR) Fail(errno);
  if (!direct_ && !SyncFolder(FolderOf(target_))) Fail(errno);
}

void AtomicFile::Fail(int error_number) const {
  string message = "cannot write '" + path_ + "': " + std::generic_category().message(error_number);
  if (error_number == ENOENT) message += " (is there a folder '" + FolderOf(path_) + "'?)";
  throw Error(message, "", "", path_);
}

}  // namespace caffe
