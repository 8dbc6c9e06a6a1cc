#ifndef CAFFE_UTIL_ATOMIC_FILE_HPP_
#define CAFFE_UTIL_ATOMIC_FILE_HPP_

#include <string>

#include "caffe/common.hpp"

namespace caffe {

/**
 * @brief Writes a file so that its name stands at all times for the whole old content or the whole new one.
 *
 * The new content goes to a temporary file in the same folder; Commit() syncs it to the disk and renames it.
 * Without Commit (an exception on the way) the temporary file goes and the old one stays. A link is followed.
 * A device or a pipe is written directly. Where the process is killed on the way, the temporary file stays
 * until RemoveLeftovers finds it.
 *
 *     AtomicFile file("lenet_iter_500.caffemodel");
 *     ... write to file.descriptor(), or hand file.temp_path() to a library that opens files itself ...
 *     file.Commit();
 */
class AtomicFile {
 public:
  /// Makes the temporary file. @throws Error naming the path and the system's reason.
  explicit AtomicFile(const string& path);
  ~AtomicFile();

  /// Where the content is to be written until Commit.
  const string& temp_path() const { return temp_path_; }
  /// An open descriptor of temp_path().
  int descriptor() const { return descriptor_; }

  /// Appends to the content. @throws Error naming the path and the system's reason.
  void Write(const void* data, size_t size);

  /// @throws Error naming the path and the system's reason; the old file then stays.
  void Commit();

  /// Throws the Error of a failed write, with the system's text for `error_number` (an errno value), and for
  /// a full disk with what is left on it.
  [[noreturn]] void Fail(int error_number) const;

  /// Deletes the temporary files of dead processes in the folder of `path`. A lock tells those that somebody,
  /// here or on another machine, still writes; where the file system knows no locks all stay.
  static void RemoveLeftovers(const string& path);

 private:
  void OpenTemporary();

  /// As the caller wrote it, for messages.
  string path_;
  string target_;
  string temp_path_;
  int descriptor_ = -1;
  bool direct_ = false;

  DISABLE_COPY_AND_ASSIGN(AtomicFile);
};

}  // namespace caffe

#endif  // CAFFE_UTIL_ATOMIC_FILE_HPP_
