#ifndef CAFFE_UTIL_IO_H_
#define CAFFE_UTIL_IO_H_

#include <google/protobuf/message.h>

#include <atomic>
#include <filesystem>
#include <random>
#include <string>

// Code written for Caffe says boost::filesystem after this header.
#if __has_include(<boost/filesystem.hpp>)
#include <boost/filesystem.hpp>
#endif

#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/format.hpp"

/// Names tried before MakeTempDir gives up.
#ifndef CAFFE_TMP_DIR_RETRIES
#define CAFFE_TMP_DIR_RETRIES 100
#endif

namespace caffe {

#if __has_include(<boost/filesystem.hpp>)
using ::boost::filesystem::path;
#endif

using ::google::protobuf::Message;

/// Makes a new folder, of a name that nobody else has, where the system keeps temporary files.
inline void MakeTempDir(string* temp_dirname) {
  std::random_device random;
  for (int i = 0; i < CAFFE_TMP_DIR_RETRIES; ++i) {
    std::ostringstream name;
    name << "caffe_test." << std::hex << random() << "-" << random();
    const std::filesystem::path folder = std::filesystem::temp_directory_path() / name.str();
    std::error_code error;
    if (std::filesystem::create_directory(folder, error)) {
      *temp_dirname = folder.string();
      return;
    }
  }
  LOG(FATAL) << "cannot make a folder in '" << std::filesystem::temp_directory_path().string()
             << "': is it writable? TMPDIR sets another place";
}

/// A name in a temporary folder of this process, another one in every call. No file is made.
inline void MakeTempFilename(string* temp_filename) {
  static const string folder = [] {
    string made;
    MakeTempDir(&made);
    return made;
  }();
  static std::atomic<int> next{0};
  *temp_filename = folder + "/" + format_int(next++, 9);
}

/**
 * @name Messages from and to files
 *
 * The readers replace the message. Of a text file the error names line and column, of a binary file its size;
 * it says what the file seems to be in place of the message that was asked for. The forms without OrDie log
 * the error and return false.
 *
 * The writers put the new file in place when it is whole and on the disk (see AtomicFile), and throw an Error
 * that names the file and the system's reason where that fails; the old file then stays.
 *
 * In binary files of NetParameter, field numbers that BVLC Caffe and the HWGQ fork use for different things
 * are told apart by layer type: see shared_field_numbers.hpp.
 * @{
 */
bool ReadProtoFromTextFile(const char* filename, Message* proto);
inline bool ReadProtoFromTextFile(const string& filename, Message* proto) {
  return ReadProtoFromTextFile(filename.c_str(), proto);
}

/// @throws Error
void ReadProtoFromTextFileOrDie(const char* filename, Message* proto);
inline void ReadProtoFromTextFileOrDie(const string& filename, Message* proto) {
  ReadProtoFromTextFileOrDie(filename.c_str(), proto);
}

void WriteProtoToTextFile(const Message& proto, const char* filename);
inline void WriteProtoToTextFile(const Message& proto, const string& filename) {
  WriteProtoToTextFile(proto, filename.c_str());
}

bool ReadProtoFromBinaryFile(const char* filename, Message* proto);
inline bool ReadProtoFromBinaryFile(const string& filename, Message* proto) {
  return ReadProtoFromBinaryFile(filename.c_str(), proto);
}

/// @throws Error
void ReadProtoFromBinaryFileOrDie(const char* filename, Message* proto);
inline void ReadProtoFromBinaryFileOrDie(const string& filename, Message* proto) {
  ReadProtoFromBinaryFileOrDie(filename.c_str(), proto);
}

/// Parses bytes of a binary file. @throws Error as ReadProtoFromBinaryFileOrDie does for the file.
void ParseProtoFromBinary(const string& bytes, const string& filename, Message* proto);

/// Up to 2 GiB - 1 bytes, the limit of the format; a larger message throws an Error that names HDF5.
void WriteProtoToBinaryFile(const Message& proto, const char* filename);
inline void WriteProtoToBinaryFile(const Message& proto, const string& filename) {
  WriteProtoToBinaryFile(proto, filename.c_str());
}
/** @} */

/**
 * @name Images and Datum
 *
 * A Datum holds C x H x W bytes, or, `encoded`, the bytes of an image file. The readers return false, and log
 * why, where the file is missing or no image.
 * @{
 */

/// Takes the file's bytes as they are, encoded.
bool ReadFileToDatum(const string& filename, const int label, Datum* datum);
inline bool ReadFileToDatum(const string& filename, Datum* datum) {
  return ReadFileToDatum(filename, -1, datum);
}

/// Reads an image, resized where height and width are above 0, with 3 channels (BGR) or 1. With an `encoding`
/// ("jpg", "png") the datum is encoded in it, otherwise decoded.
bool ReadImageToDatum(const string& filename, const int label, const int height, const int width,
                      const bool is_color, const std::string& encoding, Datum* datum);
inline bool ReadImageToDatum(const string& filename, const int label, const int height, const int width,
                             const bool is_color, Datum* datum) {
  return ReadImageToDatum(filename, label, height, width, is_color, "", datum);
}
inline bool ReadImageToDatum(const string& filename, const int label, const int height, const int width,
                             Datum* datum) {
  return ReadImageToDatum(filename, label, height, width, true, datum);
}
inline bool ReadImageToDatum(const string& filename, const int label, const bool is_color, Datum* datum) {
  return ReadImageToDatum(filename, label, 0, 0, is_color, datum);
}
inline bool ReadImageToDatum(const string& filename, const int label, Datum* datum) {
  return ReadImageToDatum(filename, label, 0, 0, true, datum);
}
inline bool ReadImageToDatum(const string& filename, const int label, const std::string& encoding,
                             Datum* datum) {
  return ReadImageToDatum(filename, label, 0, 0, true, encoding, datum);
}

/// Decodes an encoded datum in place, keeping the image's number of channels. False where it is not encoded.
bool DecodeDatumNative(Datum* datum);
/// The same with 3 channels (BGR) or 1.
bool DecodeDatum(Datum* datum, bool is_color);

#ifdef USE_OPENCV
/// Images as OpenCV has them: 8 bits a channel, blue, green, red. Empty, after a logged error, for a file or
/// a datum that cannot be decoded.
cv::Mat ReadImageToCVMat(const string& filename, const int height, const int width, const bool is_color);
cv::Mat ReadImageToCVMat(const string& filename, const int height, const int width);
cv::Mat ReadImageToCVMat(const string& filename, const bool is_color);
cv::Mat ReadImageToCVMat(const string& filename);

cv::Mat DecodeDatumToCVMatNative(const Datum& datum);
cv::Mat DecodeDatumToCVMat(const Datum& datum, bool is_color);

void CVMatToDatum(const cv::Mat& cv_img, Datum* datum);
#endif  // USE_OPENCV
/** @} */

}  // namespace caffe

#endif  // CAFFE_UTIL_IO_H_
