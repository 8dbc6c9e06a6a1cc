#ifndef CAFFE_UTIL_TILING_HPP_
#define CAFFE_UTIL_TILING_HPP_

#include "caffe/util/device_alternate.hpp"

namespace caffe {

/// Where a blob's values go when each run of `inner` of them is repeated `tiles` times.
struct Tiling {
  unsigned inner;
  unsigned tiles;

  /// The place of copy `tile` of value i.
  CAFFE_HOST_DEVICE unsigned Place(unsigned i, unsigned tile) const {
    const unsigned run = i / inner;
    return (run * tiles + tile) * inner + (i - run * inner);
  }
  /// The value that lies at a place.
  CAFFE_HOST_DEVICE unsigned ValueAt(unsigned place) const {
    const unsigned run_of_copy = place / inner;
    return run_of_copy / tiles * inner + (place - run_of_copy * inner);
  }
};

}  // namespace caffe

#endif  // CAFFE_UTIL_TILING_HPP_
