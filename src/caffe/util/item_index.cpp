#include "caffe/util/item_index.hpp"

#include "caffe/util/logging.hpp"

namespace caffe {

int CheckedIndex(double value, int position, int size) {
  // The comparison is false for NaN too.
  CHECK(value >= 0 && value < size) << "wrong index " << value << " at position " << position
                                    << ": indices must be integers from 0 to " << size - 1;
  return static_cast<int>(value);
}

}  // namespace caffe
