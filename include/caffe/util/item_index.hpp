#ifndef CAFFE_UTIL_ITEM_INDEX_HPP_
#define CAFFE_UTIL_ITEM_INDEX_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/util/device_alternate.hpp"

namespace caffe {

/// A blob's value that is meant as an index, as an integer; fractions are cut off. -1 unless it lies in
/// [0, size). For all devices.
CAFFE_HOST_DEVICE inline int IndexIn(double value, int size) {
  // The comparison is false for NaN too.
  return value >= 0 && value < size ? static_cast<int>(value) : -1;
}

/// The same of the value at `position`. @throws Error naming it where IndexIn is -1.
int CheckedIndex(double value, int position, int size);

/// CheckedIndex of all of a blob's values.
template <typename Dtype>
std::vector<int> CheckedIndices(const Blob<Dtype>& values, int size) {
  const Dtype* value = values.cpu_data();
  std::vector<int> indices(values.count());
  for (int i = 0; i < values.count(); ++i) indices[i] = CheckedIndex(value[i], i, size);
  return indices;
}

}  // namespace caffe

#endif  // CAFFE_UTIL_ITEM_INDEX_HPP_
