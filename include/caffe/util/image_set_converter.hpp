#ifndef CAFFE_UTIL_IMAGE_SET_CONVERTER_HPP_
#define CAFFE_UTIL_IMAGE_SET_CONVERTER_HPP_

#include <chrono>
#include <string>
#include <vector>

#include "caffe/util/db.hpp"
#include "caffe/util/image_datum.hpp"
#include "caffe/util/ordered_workers.hpp"

namespace caffe {

/// An image file with its label.
struct ListedImage {
  string name;
  int label;
};

/**
 * @brief Writes a list of image files to a database, decoding and resizing them in threads of its own.
 *
 * A record is a Datum with the key "NUMBER_NAME", where the number is the image's in the list, from 0, in
 * eight digits. The order is the list's. An image that cannot be read is named in a warning and left out.
 * What waits to be written has some hundred megabytes at most, however large the list.
 */
class ImageSetConverter {
 public:
  /// @param root is put before each name.
  /// @param check_size whether an image of another shape than the first is an error.
  /// @param first the number of the image to begin with: those before it are in the database.
  /// @throws Error for options that CheckImageDatumOptions does not accept.
  ImageSetConverter(vector<ListedImage> images, const string& root, const ImageDatumOptions& options,
                    bool check_size, int threads, int64_t first = 0);

  /// Goes on for about that time; false where nothing is left to do. What was written is committed from time
  /// to time, and at the end. @throws Error where the database cannot be written, or for an image of another
  /// shape.
  bool WriteFor(std::chrono::milliseconds time, db::DB* database);

  int64_t size() const { return static_cast<int64_t>(images_.size()); }
  /// Images done so far: written and left out.
  int64_t written() const { return written_; }
  int64_t skipped() const { return skipped_; }
  /// The number of the image from which on another converter could go on, were this one to end now.
  int64_t committed() const { return committed_; }

 private:
  struct Record {
    string datum;
    ImageShape shape;
  };

  Record MakeRecord(int64_t number) const;
  /// The next record; false, with a warning, where its image cannot be read.
  bool TakeReadable(Record* record);
  void CheckShape(const ImageShape& shape, int64_t number);
  void Write(const Record& record, int64_t number, db::DB* database);
  void Commit();

  const vector<ListedImage> images_;
  const string root_;
  const ImageDatumOptions options_;
  const bool check_size_;
  const int64_t first_;
  int64_t committed_;
  ImageShape shape_;
  int64_t written_ = 0;
  int64_t skipped_ = 0;
  shared_ptr<db::Transaction> transaction_;
  size_t uncommitted_bytes_ = 0;
  /// The last member, so that its threads end before what they use.
  OrderedWorkers<Record> records_;

  DISABLE_COPY_AND_ASSIGN(ImageSetConverter);
};

}  // namespace caffe

#endif  // CAFFE_UTIL_IMAGE_SET_CONVERTER_HPP_
