#ifndef CAFFE_UTIL_ITEM_INDEX_HPP_
#define CAFFE_UTIL_ITEM_INDEX_HPP_

#include <vector>

#include "caffe/blob.hpp"

namespace caffe {

/// A blob's value at `position`, meant as an index, as an integer; fractions are cut off.
/// @throws Error naming it unless it lies in [0, size).
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
