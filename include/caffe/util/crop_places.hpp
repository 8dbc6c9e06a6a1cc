#ifndef CAFFE_UTIL_CROP_PLACES_HPP_
#define CAFFE_UTIL_CROP_PLACES_HPP_

#include "caffe/blob.hpp"
#include "caffe/util/device_alternate.hpp"

namespace caffe {

/**
 * @brief Where a cut's values lie in the blob that it is cut from.
 *
 * Values that lie together in both make a run, and axes that are not cut count as one with the axis before.
 */
struct CropPlaces {
  /// Values of a run, and where the first run begins in the blob.
  int run = 1;
  int first = 0;
  /// The runs' axes, the last first: how long they are, and how far apart neighbours lie in the blob.
  int axes = 0;
  int length[kMaxBlobAxes];
  int stride[kMaxBlobAxes];

  /// The place of the first value of run number r.
  CAFFE_HOST_DEVICE int Place(unsigned r) const {
    int place = first;
    for (int axis = 0; axis < axes; ++axis) {
      const unsigned rest = r / length[axis];
      place += static_cast<int>(r - rest * length[axis]) * stride[axis];
      r = rest;
    }
    return place;
  }
};

/// For a cut of shape `cut` from a blob of shape `shape`, which begins at `offset` on each axis.
CropPlaces PlacesOfCrop(const vector<int>& shape, const vector<int>& cut, const int* offset);

}  // namespace caffe

#endif  // CAFFE_UTIL_CROP_PLACES_HPP_
