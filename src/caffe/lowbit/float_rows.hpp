#ifndef CAFFE_LOWBIT_FLOAT_ROWS_HPP_
#define CAFFE_LOWBIT_FLOAT_ROWS_HPP_

#include <utility>

#include "caffe/lowbit/float_vector.hpp"
#include "caffe/lowbit/row_filter.hpp"

// The transforms of filtered rows for vectors of kLanes values; each file that includes this is compiled for
// another instruction set, so that all of it is local to the file.
namespace caffe {
namespace lowbit {
namespace {

using Points = std::make_integer_sequence<int, kPoints>;

// Values at a point: the product of (x - other) over all other points but infinity, whose powers of x are the
// tile's inputs.
struct InputTransform {
  static constexpr float kRows[kPoints][kPoints] = {
      {-2, 4, 2.5f, -5, -0.5f, 1, 0}, {0, 2, -2, -4.5f, 0.5f, 1, 0}, {0, -2, 6, -3.5f, -1.5f, 1, 0},
      {0, 1, -1.5f, -2, 1.5f, 1, 0},  {0, -1, 2.5f, 0, -2.5f, 1, 0}, {0, 4, 0, -5, 0, 1, 0},
      {0, -2, 4, 2.5f, -5, -0.5f, 1},
  };
  static constexpr float At(int row, int column) { return kRows[row][column]; }
};

// Output i of a tile: the i-th powers of the points; of infinity, the last one alone.
template <int kTileOutputs>
struct OutputTransform {
  static constexpr float At(int row, int column) {
    if (column == kPoints - 1) return row == kTileOutputs - 1 ? 1 : 0;
    float power = 1;
    for (int i = 0; i < row; ++i) power *= kFinitePoints[column];
    return power;
  }
};

// A row of a matrix times values, less those that are multiplied by 0.
template <typename Matrix, int kRow, typename Vector, int... kColumn>
inline Vector RowTimes(const Vector* values, std::integer_sequence<int, kColumn...>) {
  Vector sum = {};
  const auto add = [&](auto column) {
    constexpr float kFactor = Matrix::At(kRow, column());
    if constexpr (kFactor != 0) sum += kFactor * values[column()];
  };
  (add(std::integral_constant<int, kColumn>()), ...);
  return sum;
}

template <int kLanes, int... kPoint>
inline void TransformUnits(const float* from, int unit, int64_t point_stride, float* to,
                           std::integer_sequence<int, kPoint...> points) {
  using Vector = typename VectorOf<kLanes>::Type;
  const Vector values[] = {*reinterpret_cast<const Vector*>(from + kPoint * unit)...};
  ((*reinterpret_cast<Vector*>(to + kPoint * point_stride) =
        RowTimes<InputTransform, kPoint>(values, points)),
   ...);
}

template <int kLanes>
void TransformInputs(int tile_outputs, const float* row, int unit, int tiles, int64_t point_stride,
                     float* points) {
  for (int tile = 0; tile < tiles; ++tile, row += int64_t{tile_outputs} * unit, points += unit) {
    // What a unit's last vector has too much, the next tile overwrites.
    for (int u = 0; u < unit; u += kLanes) {
      TransformUnits<kLanes>(row + u, unit, point_stride, points + u, Points());
    }
  }
}

template <int kLanes, int kTileOutputs, int... kOutput, int... kPoint>
void TransformOutputs(const float* sums, int64_t point_stride, int channels, int outputs, float* result,
                      int64_t result_stride, std::integer_sequence<int, kOutput...>,
                      std::integer_sequence<int, kPoint...> points) {
  using Vector = typename VectorOf<kLanes>::Type;
  for (int c = 0; c < channels; c += kLanes) {
    const Vector values[] = {*reinterpret_cast<const Vector*>(sums + kPoint * point_stride + c)...};
    const auto store = [&](auto output) {
      if (output() >= outputs) return;
      *reinterpret_cast<Vector*>(result + output() * result_stride + c) =
          RowTimes<OutputTransform<kTileOutputs>, output()>(values, points);
    };
    (store(std::integral_constant<int, kOutput>()), ...);
  }
}

template <int kLanes>
void TransformOutputs(int tile_outputs, const float* sums, int64_t point_stride, int channels, int outputs,
                      float* result, int64_t result_stride) {
  const auto transform = [&](auto most) {
    TransformOutputs<kLanes, most()>(sums, point_stride, channels, outputs, result, result_stride,
                                     std::make_integer_sequence<int, most()>(), Points());
  };
  if (tile_outputs == 3) return transform(std::integral_constant<int, 3>());
  if (tile_outputs == 4) return transform(std::integral_constant<int, 4>());
  transform(std::integral_constant<int, 5>());
}

// Pixels have few channels: longer vectors would be mostly empty.
template <int kLanes>
constexpr RowTransforms MakeRowTransforms(const char* name) {
  return {name, TransformInputs<(kLanes < 8 ? kLanes : 8)>, TransformOutputs<kLanes>};
}

}  // namespace
}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_FLOAT_ROWS_HPP_
