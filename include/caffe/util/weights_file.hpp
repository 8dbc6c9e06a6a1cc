#ifndef CAFFE_UTIL_WEIGHTS_FILE_HPP_
#define CAFFE_UTIL_WEIGHTS_FILE_HPP_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/input_file.hpp"

namespace caffe {

/**
 * @brief A .caffemodel whose values stay in the file until they are copied to where they belong, so that
 * loading takes no memory for them.
 *
 * Files of Caffe's V0 and V1 formats, and whatever else is not laid out as Caffe writes it today, are read as
 * a whole.
 */
class WeightsFile {
 public:
  /// @throws Error as ReadNetParamsFromBinaryFileOrDie.
  explicit WeightsFile(const string& filename);

  /// The net that the file holds, in today's format. Its blobs may have no values, but they have their
  /// shapes.
  const NetParameter& net() const { return net_; }

  /// Copies blob `blob` of layer `layer`, as net() counts them, to a blob of its shape. @throws Error where
  /// the file has another number of values.
  template <typename Dtype>
  void CopyBlob(int layer, int blob, Blob<Dtype>* target) const;

 private:
  /// Where a blob's message lies in the file, and in it its values where they are floats in one piece.
  struct Place {
    int64_t offset = 0, size = 0;
    int64_t values_offset = 0, num_values = 0;
  };
  class Outline;

  void Read(int64_t offset, int64_t size, void* target) const;

  const InputFile file_;
  NetParameter net_;
  /// For each layer of net_ its blobs' places; empty where net_ has the values itself.
  vector<vector<Place>> places_;

  DISABLE_COPY_AND_ASSIGN(WeightsFile);
};

}  // namespace caffe

#endif  // CAFFE_UTIL_WEIGHTS_FILE_HPP_
