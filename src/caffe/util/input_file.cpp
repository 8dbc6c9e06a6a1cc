#include "caffe/util/input_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>

namespace caffe {

InputFile::InputFile(const string& filename) : filename_(filename) {
  do {
    descriptor_ = open(filename.c_str(), O_RDONLY | O_CLOEXEC);
  } while (descriptor_ < 0 && errno == EINTR);
  if (descriptor_ < 0) Fail(errno);
  struct stat status;
  if (fstat(descriptor_, &status) != 0) status.st_mode = 0;
  if (S_ISDIR(status.st_mode)) {
    close(descriptor_);
    Fail(EISDIR);
  }
  if (S_ISREG(status.st_mode)) size_ = status.st_size;
}

InputFile::~InputFile() { close(descriptor_); }

string InputFile::Read(size_t limit) const {
  constexpr size_t kBlockBytes = size_t{1} << 16;
  string content;
  // One more than the file has, so that the end is seen without more memory.
  size_t room = std::min(limit, static_cast<size_t>(size_) + 1);
  for (size_t filled = 0;;) {
    content.resize(room);
    const ssize_t count = read(descriptor_, &content[filled], room - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) Fail(errno);
    filled += count;
    if (count == 0 || filled == limit) {
      content.resize(filled);
      return content;
    }
    if (filled == room) room = filled + std::min(limit - filled, std::max(kBlockBytes, filled));
  }
}

void InputFile::Fail(int error_number) const {
  throw Error("cannot read '" + filename_ + "': " + std::generic_category().message(error_number), "", "",
              filename_);
}

}  // namespace caffe
