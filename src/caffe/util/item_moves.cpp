#include "caffe/util/item_moves.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "caffe/util/math_functions.hpp"

namespace caffe {

ItemPositions PositionsOfItems(const std::vector<int>& index, int items) {
  ItemPositions by_item;
  by_item.begin.assign(items + 1, 0);
  for (const int item : index) ++by_item.begin[item + 1];
  std::partial_sum(by_item.begin.begin(), by_item.begin.end(), by_item.begin.begin());
  by_item.positions.resize(index.size());
  std::vector<int> next(by_item.begin.begin(), by_item.begin.end() - 1);
  for (size_t i = 0; i < index.size(); ++i) by_item.positions[next[index[i]]++] = static_cast<int>(i);
  return by_item;
}

template <typename Dtype>
void TakeItems(HostSide, const std::vector<int>& index, int item_size, const Dtype* x, Dtype* y) {
  for (const int64_t item : index) {
    caffe_copy(item_size, x + item * item_size, y);
    y += item_size;
  }
}

template <typename Dtype>
void AddUpItems(HostSide, const std::vector<int>& index, int items, int item_size, const Dtype* dy,
                Dtype* dx) {
  caffe_set(items * item_size, Dtype(0), dx);
  for (const int64_t item : index) {
    caffe_axpy(item_size, Dtype(1), dy, dx + item * item_size);
    dy += item_size;
  }
}

template void TakeItems(HostSide, const std::vector<int>&, int, const float*, float*);
template void TakeItems(HostSide, const std::vector<int>&, int, const double*, double*);
template void AddUpItems(HostSide, const std::vector<int>&, int, int, const float*, float*);
template void AddUpItems(HostSide, const std::vector<int>&, int, int, const double*, double*);

}  // namespace caffe
