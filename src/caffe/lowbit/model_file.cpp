#include "caffe/lowbit/model_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "caffe/lowbit/plan.hpp"

namespace caffe {
namespace lowbit {

namespace {

class Descriptor {
 public:
  // A named pipe, which is no file, would have to be waited for.
  explicit Descriptor(const std::string& path)
      : number_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int number() const { return number_; }

 private:
  const int number_;
};

[[noreturn]] void CannotRead() {
  throw PlanError(std::string("it cannot be read (") + std::strerror(errno) + ")");
}

}  // namespace

ModelFile::ModelFile(const std::string& path) {
  const Descriptor file(path);
  struct stat status;
  if (file.number() < 0 || fstat(file.number(), &status) != 0) CannotRead();
  if (!S_ISREG(status.st_mode)) throw PlanError("it is no file");
  size_ = static_cast<size_t>(status.st_size);
  if (size_ == 0) return;
  void* const mapped = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.number(), 0);
  if (mapped == MAP_FAILED) CannotRead();
  data_ = static_cast<const uint8_t*>(mapped);
}

ModelFile::ModelFile(const void* bytes, size_t size) : size_(size), copy_(size) {
  if (size > 0) std::memcpy(copy_.data(), bytes, size);
  data_ = copy_.data();
}

ModelFile::~ModelFile() {
  if (data_ && !copy_.data()) munmap(const_cast<uint8_t*>(data_), size_);
}

}  // namespace lowbit
}  // namespace caffe
