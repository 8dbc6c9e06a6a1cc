#ifndef CAFFE_UTIL_GPU_AXIS_CUH_
#define CAFFE_UTIL_GPU_AXIS_CUH_

#include "caffe/util/gpu_launch.cuh"

namespace caffe {

/// An array of outer x size x inner elements, row-major, of which one axis is gone through at each of
/// outer x inner positions: the classes of a softmax, say.
struct GpuAxis {
  int size, inner;
  /// Index of the first element at a position; the next ones follow in steps of `inner`.
  CAFFE_HOST_DEVICE int Start(int position) const {
    return position / inner * (size * inner) + position % inner;
  }
  CAFFE_HOST_DEVICE int Index(int position, int i) const { return Start(position) + i * inner; }
  CAFFE_HOST_DEVICE int PositionOf(int index) const { return index / (size * inner) * inner + index % inner; }
  /// Where on the axis an element is.
  CAFFE_HOST_DEVICE int PlaceOf(int index) const { return index / inner % size; }
};

/// GpuReduceRows over an axis at each position: store(position, v_0 * v_1 * ...) with v_i = map(position, i).
template <typename Value, typename Map, typename Combine, typename Store>
void GpuReduceAxis(int positions, const GpuAxis& axis, const Map& map, const Combine& combine, Value identity,
                   const Store& store) {
  // From here on, threads that go through a position each and read neighbours together are enough for a GPU.
  constexpr int kManyPositions = 4096, kNeighbours = 32;
  if (axis.inner >= kNeighbours && positions >= kManyPositions) {
    using gpu_launch::ReduceShortRow;
    GpuForEach(positions,
               ReduceShortRow<Value, Map, Combine, Store>{axis.size, map, combine, identity, store});
  } else {
    GpuReduceRows(positions, axis.size, map, combine, identity, store);
  }
}

template <typename Value, typename Map, typename Store>
void GpuSumAxis(int positions, const GpuAxis& axis, const Map& map, const Store& store) {
  GpuReduceAxis(positions, axis, map, gpu_launch::Sum<Value>(), Value{}, store);
}

}  // namespace caffe

#endif  // CAFFE_UTIL_GPU_AXIS_CUH_
