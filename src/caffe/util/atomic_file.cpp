#include "caffe/util/atomic_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <sstream>
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

constexpr char kPrefix[] = ".caffe-", kSuffix[] = ".tmp";

// Whether a file has the name of a temporary one: .caffe-PROCESS-NUMBER.tmp.
bool IsTemporary(const string& name) {
  const size_t start = sizeof(kPrefix) - 1, length = sizeof(kPrefix) + sizeof(kSuffix) - 2;
  if (name.size() <= length || name.compare(0, start, kPrefix) != 0) return false;
  if (name.compare(name.size() - sizeof(kSuffix) + 1, string::npos, kSuffix) != 0) return false;
  return name.find_first_not_of("0123456789-", start) == name.size() - sizeof(kSuffix) + 1;
}

// A lock on the whole file that ends with the descriptor, and so with the process; false where another has it
// or the file system has none.
bool Lock(int descriptor) {
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return RetryInterrupted([&] { return fcntl(descriptor, F_OFD_SETLK, &lock); }) == 0;
}

// Whether the file of the descriptor still has a name.
bool IsLinked(int descriptor) {
  struct stat status;
  return fstat(descriptor, &status) == 0 && status.st_nlink > 0;
}

string SpaceLeft(const string& folder) {
  struct statvfs status;
  if (statvfs(folder.c_str(), &status) != 0) return "";
  const double mebibytes = static_cast<double>(status.f_bavail) * status.f_frsize / (1 << 20);
  ostringstream text;
  text.precision(1);
  text << std::fixed << " (" << mebibytes << " MiB are free in '" << folder << "': make room there)";
  return text.str();
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
  const string stem = FolderOf(target_) + "/" + kPrefix + std::to_string(getpid()) + "-";
  while (true) {
    temp_path_ = stem + std::to_string(counter++) + kSuffix;
    descriptor_ = RetryInterrupted(
        [&] { return open(temp_path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666); });
    if (descriptor_ < 0 && errno == EEXIST) continue;
    if (descriptor_ < 0) Fail(errno);
    Lock(descriptor_);
    // Before it was locked somebody may have taken it for a leftover.
    if (IsLinked(descriptor_)) return;
    close(descriptor_);
  }
}

void AtomicFile::RemoveLeftovers(const string& path) {
  std::error_code failed;
  for (fs::directory_iterator entry(FolderOf(path), failed), end; !failed && entry != end;
       entry.increment(failed)) {
    const string file = entry->path().string();
    if (!IsTemporary(entry->path().filename().string())) continue;
    const int descriptor =
        RetryInterrupted([&] { return open(file.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC); });
    if (descriptor < 0) continue;
    if (Lock(descriptor) && unlink(file.c_str()) == 0) {
      LOG(INFO) << "Removed " << file << ", which a process that has ended left half written";
    }
    close(descriptor);
  }
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
  if (error_number == ENOSPC || error_number == EDQUOT) message += SpaceLeft(FolderOf(path_));
  throw Error(message, "", "", path_);
}

}  // namespace caffe
