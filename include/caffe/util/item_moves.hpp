#ifndef CAFFE_UTIL_ITEM_MOVES_HPP_
#define CAFFE_UTIL_ITEM_MOVES_HPP_

#include <vector>

#include "caffe/util/blob_side.hpp"

namespace caffe {

/// The items of [0, items) by the positions in `index` at which they stand.
struct ItemPositions {
  /// Those of item n are positions[begin[n]] ... positions[begin[n + 1] - 1], ascending.
  std::vector<int> begin;
  std::vector<int> positions;
};

/// The index's values must be in [0, items).
ItemPositions PositionsOfItems(const std::vector<int>& index, int items);

/// y item i = x item index[i], for items of item_size values.
template <typename Dtype>
void TakeItems(HostSide, const std::vector<int>& index, int item_size, const Dtype* x, Dtype* y);

/// What TakeItems does to gradients: dx item n = the sum of all dy items i with index[i] = n, in ascending
/// order, or 0 where there is none. There are `items` items in dx.
template <typename Dtype>
void AddUpItems(HostSide, const std::vector<int>& index, int items, int item_size, const Dtype* dy,
                Dtype* dx);

#ifndef CPU_ONLY
template <typename Dtype>
void TakeItems(GpuSide, const std::vector<int>& index, int item_size, const Dtype* x, Dtype* y);
template <typename Dtype>
void AddUpItems(GpuSide, const std::vector<int>& index, int items, int item_size, const Dtype* dy, Dtype* dx);
#endif

}  // namespace caffe

#endif  // CAFFE_UTIL_ITEM_MOVES_HPP_
