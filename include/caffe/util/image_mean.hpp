#ifndef CAFFE_UTIL_IMAGE_MEAN_HPP_
#define CAFFE_UTIL_IMAGE_MEAN_HPP_

#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/db.hpp"

namespace caffe {

/**
 * @brief The mean of the images in a database: of each value (channel, row, column) over all images.
 *
 * Records are parsed and decoded in parallel. The values of bytes are summed exactly; a sum of floats is one
 * of doubles in the order of the records, so that it does not depend on the number of threads.
 */
class ImageMean {
 public:
  ImageMean() = default;

  /// Adds records from the cursor on, some tens of megabytes at most; their number, 0 at the end of the
  /// database. @throws Error with the record's key where it is no Datum, cannot be decoded, or has another
  /// shape than those before.
  int AddFrom(db::Cursor* cursor);

  /// Images added.
  int64_t count() const { return count_; }

  /// A blob of shape 1 x C x H x W. @throws Error where no image was added.
  BlobProto Mean() const;
  /// The mean of each channel.
  vector<double> ChannelMeans() const;

 private:
  struct Record {
    string key;
    string value;
    Datum datum;
  };

  void CheckShape(const Record& record);
  void CheckNotEmpty() const;

  int channels_ = 0;
  int height_ = 0;
  int width_ = 0;
  int64_t count_ = 0;
  vector<double> sums_;
  vector<Record> records_;

  DISABLE_COPY_AND_ASSIGN(ImageMean);
};

/// Reads a mean image, as `compute_image_mean` writes it. @throws Error naming the file, also where it holds
/// no pixel.
template <typename Dtype>
void ReadImageMean(const string& filename, Blob<Dtype>* mean);

}  // namespace caffe

#endif  // CAFFE_UTIL_IMAGE_MEAN_HPP_
