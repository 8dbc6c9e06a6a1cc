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

// A row of one of a filter's matrices times values, less what is multiplied by 0.
struct InputsOf {
  template <typename Filter, int kRow, int kColumn>
  static constexpr float At() {
    return Filter::kInputs[kRow][kColumn];
  }
};
struct OutputsOf {
  template <typename Filter, int kRow, int kColumn>
  static constexpr float At() {
    return Filter::kOutputs[kRow][kColumn];
  }
};

template <typename Matrix, typename Filter, int kRow, typename Vector, int... kColumn>
inline Vector RowTimes(const Vector* values, std::integer_sequence<int, kColumn...>) {
  Vector sum = {};
  const auto add = [&](auto column) {
    constexpr float kFactor = Matrix::template At<Filter, kRow, column()>();
    if constexpr (kFactor != 0) sum += kFactor * values[column()];
  };
  (add(std::integral_constant<int, kColumn>()), ...);
  return sum;
}

template <typename Filter>
using Points = std::make_integer_sequence<int, Filter::kPoints>;

template <int kLanes, typename Filter, int... kPoint>
void TransformInputs(const float* row, int unit, int tiles, int64_t point_stride, float* points,
                     std::integer_sequence<int, kPoint...>) {
  using Vector = typename VectorOf<kLanes>::Type;
  for (int tile = 0; tile < tiles; ++tile) {
    // What a unit's last vector has too much, the next one overwrites.
    for (int u = 0; u < unit; u += kLanes) {
      const float* const from = row + static_cast<int64_t>(kTileOutputs) * tile * unit + u;
      const Vector values[] = {*reinterpret_cast<const Vector*>(from + kPoint * unit)...};
      float* const to = points + static_cast<int64_t>(tile) * unit + u;
      ((*reinterpret_cast<Vector*>(to + kPoint * point_stride) =
            RowTimes<InputsOf, Filter, kPoint>(values, Points<Filter>())),
       ...);
    }
  }
}

template <int kLanes, typename Filter, int... kPoint>
void TransformOutputs(const float* sums, int64_t point_stride, int channels, int outputs, float* result,
                      int64_t result_stride, std::integer_sequence<int, kPoint...>) {
  using Vector = typename VectorOf<kLanes>::Type;
  for (int c = 0; c < channels; c += kLanes) {
    const Vector values[] = {*reinterpret_cast<const Vector*>(sums + kPoint * point_stride + c)...};
    const auto store = [&](auto output) {
      if (output() >= outputs) return;
      *reinterpret_cast<Vector*>(result + output() * result_stride + c) =
          RowTimes<OutputsOf, Filter, output()>(values, Points<Filter>());
    };
    store(std::integral_constant<int, 0>());
    store(std::integral_constant<int, 1>());
    store(std::integral_constant<int, 2>());
    store(std::integral_constant<int, 3>());
  }
}

template <int kLanes>
void TransformInputs(int taps, const float* row, int unit, int tiles, int64_t point_stride, float* points) {
  if (taps == 3) {
    return TransformInputs<kLanes, RowFilter<3>>(row, unit, tiles, point_stride, points,
                                                 Points<RowFilter<3>>());
  }
  TransformInputs<kLanes, RowFilter<4>>(row, unit, tiles, point_stride, points, Points<RowFilter<4>>());
}

template <int kLanes>
void TransformOutputs(int taps, const float* sums, int64_t point_stride, int channels, int outputs,
                      float* result, int64_t result_stride) {
  if (taps == 3) {
    return TransformOutputs<kLanes, RowFilter<3>>(sums, point_stride, channels, outputs, result,
                                                  result_stride, Points<RowFilter<3>>());
  }
  TransformOutputs<kLanes, RowFilter<4>>(sums, point_stride, channels, outputs, result, result_stride,
                                         Points<RowFilter<4>>());
}

// Pixels have few channels: longer vectors would be mostly empty.
template <int kLanes>
constexpr RowTransforms kRowTransforms = {TransformInputs<(kLanes < 8 ? kLanes : 8)>,
                                          TransformOutputs<kLanes>};

}  // namespace
}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_FLOAT_ROWS_HPP_
