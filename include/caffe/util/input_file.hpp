#ifndef CAFFE_UTIL_INPUT_FILE_HPP_
#define CAFFE_UTIL_INPUT_FILE_HPP_

#include <cstddef>
#include <cstdint>
#include <string>

#include "caffe/common.hpp"

namespace caffe {

/// A file open for reading. Errors name it, with the system's reason.
class InputFile {
 public:
  explicit InputFile(const string& filename);
  ~InputFile();

  int descriptor() const { return descriptor_; }
  /// Bytes; 0 where the file is no regular one.
  int64_t size() const { return size_; }

  /// Reads up to `limit` bytes from where the file stands.
  string Read(size_t limit) const;

  /// Throws the Error of a failed read, with the system's text for `error_number` (an errno value).
  [[noreturn]] void Fail(int error_number) const;

 private:
  string filename_;
  int descriptor_;
  int64_t size_ = 0;

  DISABLE_COPY_AND_ASSIGN(InputFile);
};

}  // namespace caffe

#endif  // CAFFE_UTIL_INPUT_FILE_HPP_
