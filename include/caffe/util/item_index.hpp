#ifndef CAFFE_UTIL_ITEM_INDEX_HPP_
#define CAFFE_UTIL_ITEM_INDEX_HPP_

namespace caffe {

/// A blob's value at `position`, meant as an index, as an integer; fractions are cut off.
/// @throws Error naming it unless it lies in [0, size).
int CheckedIndex(double value, int position, int size);

}  // namespace caffe

#endif  // CAFFE_UTIL_ITEM_INDEX_HPP_
