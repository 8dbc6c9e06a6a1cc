#include "caffe/util/item_index.hpp"

#include "caffe/util/logging.hpp"

namespace caffe {

int CheckedIndex(double value, int position, int size) {
  const int index = IndexIn(value, size);
  CHECK(index >= 0) << "wrong index " << value << " at position " << position
                    << ": indices must be integers from 0 to " << size - 1;
  return index;
}

}  // namespace caffe
