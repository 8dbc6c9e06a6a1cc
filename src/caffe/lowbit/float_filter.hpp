#ifndef CAFFE_LOWBIT_FLOAT_FILTER_HPP_
#define CAFFE_LOWBIT_FLOAT_FILTER_HPP_

#include <utility>

#include "caffe/lowbit/float_kernel.hpp"
#include "caffe/lowbit/float_vector.hpp"

// The filter of windows for vectors of kLanes values; each file that includes this is compiled for another
// instruction set, so that all of it is local to the file.
namespace caffe {
namespace lowbit {
namespace {

// Row i makes the inputs' value at point i: the product of (x - other) over all other finite points, whose
// powers of x are the tile's inputs.
struct InputTransform {
  float at[FilterPoints::kMost][FilterPoints::kMost] = {};

  explicit constexpr InputTransform(const FilterPoints& points) {
    for (int row = 0; row < points.count; ++row) {
      at[row][0] = 1;
      for (int other = 0, degree = 1; other < points.count - 1; ++other) {
        if (other == row) continue;
        for (int power = degree++; power >= 0; --power) {
          at[row][power] = (power > 0 ? at[row][power - 1] : 0) - points.finite[other] * at[row][power];
        }
      }
    }
  }
};
constexpr InputTransform kRowTransform(kRowPoints), kColumnTransform(kColumnPoints);

// What becomes of the sums at the points of a row, which are at hand in registers: output i is the sum of the
// points' i-th powers times them, of infinity's only the last one is there. Points of both signs share
// theirs.
template <int kLanes, int kTileOutputs>
inline void RowOutputs(const VectorType<kLanes> (&sums)[kRowPoints.count],
                       VectorType<kLanes> (&outputs)[kTileOutputs]) {
  using Vector = VectorType<kLanes>;
  const Vector even1 = sums[1] + sums[2], odd1 = sums[1] - sums[2];
  const Vector even2 = sums[3] + sums[4], odd2 = sums[3] - sums[4];
  float power2 = 1, power_half = 1;
  for (int i = 0; i < kTileOutputs; ++i, power2 *= 2, power_half /= 2) {
    outputs[i] = i % 2 == 0 ? even1 + power2 * even2 : odd1 + power2 * odd2;
    outputs[i] += power_half * sums[5];
  }
  outputs[0] += sums[0];
  outputs[kTileOutputs - 1] += sums[6];
}

// Likewise of a column.
template <int kLanes, int kTileOutputs>
inline void ColumnOutputs(const VectorType<kLanes> (&sums)[kColumnPoints.count],
                          VectorType<kLanes> (&outputs)[kTileOutputs]) {
  using Vector = VectorType<kLanes>;
  const Vector even1 = sums[1] + sums[2], odd1 = sums[1] - sums[2];
  float power2 = 1, power_half = 1;
  for (int i = 0; i < kTileOutputs; ++i, power2 *= 2, power_half /= -2) {
    outputs[i] = (i % 2 == 0 ? even1 : odd1) + power2 * sums[3];
    outputs[i] += power_half * sums[4];
  }
  outputs[0] += sums[0];
  outputs[kTileOutputs - 1] += sums[5];
}

// An element's values at the points of its row, in one go: the inputs' columns of the transform times them.
template <int kLanes>
void RowsAtPoints(int tile_outputs, const float* row, int units, int tiles, float* points) {
  using Vector = VectorType<kLanes>;
  constexpr int kVectors = PointRows::kPlaces / kLanes;
  Vector columns[kRowPoints.count][kVectors] = {};
  for (int i = 0; i < kRowPoints.count; ++i) {
    for (int j = 0; j < kRowPoints.count; ++j) columns[j][i / kLanes][i % kLanes] = kRowTransform.at[i][j];
  }
  for (int tile = 0; tile < tiles; ++tile, row += int64_t{tile_outputs} * units) {
    for (int unit = 0; unit < units; ++unit, points += PointRows::kPlaces) {
      for (int v = 0; v < kVectors; ++v) {
        Vector sum = row[unit] * columns[0][v];
        for (int j = 1; j < kRowPoints.count; ++j) sum += row[unit + j * units] * columns[j][v];
        *reinterpret_cast<Vector*>(points + v * kLanes) = sum;
      }
    }
  }
}

// A row of the transform times values, less those that are multiplied by 0.
template <int kLanes, int kRow, int... kColumn>
inline VectorType<kLanes> ColumnAtPoint(const VectorType<kLanes>* values,
                                        std::integer_sequence<int, kColumn...>) {
  VectorType<kLanes> sum = {};
  const auto add = [&](auto column) {
    constexpr float kFactor = kColumnTransform.at[kRow][column()];
    if constexpr (kFactor != 0) sum += kFactor * values[column()];
  };
  (add(std::integral_constant<int, kColumn>()), ...);
  return sum;
}

template <int kLanes, int... kPoint>
inline void ColumnsAtPoints(const float* const* rows, int64_t count, float* points, int64_t point_stride,
                            std::integer_sequence<int, kPoint...> indices) {
  using Vector = VectorType<kLanes>;
  for (int64_t i = 0; i < count; i += kLanes) {
    const Vector values[] = {*reinterpret_cast<const Vector*>(rows[kPoint] + i)...};
    ((*reinterpret_cast<Vector*>(points + kPoint * point_stride + i) =
          ColumnAtPoint<kLanes, kPoint>(values, indices)),
     ...);
  }
}

template <int kLanes>
void ColumnsAtPoints(const float* const* rows, int64_t count, float* points, int64_t point_stride) {
  ColumnsAtPoints<kLanes>(rows, count, points, point_stride,
                          std::make_integer_sequence<int, kColumnPoints.count>());
}

// Compilers would load a weight for each tile anew, and have more to load than to multiply.
template <int kLanes>
inline void KeepInRegister(VectorType<kLanes>* value) {
#ifdef __aarch64__
  asm("" : "+w"(*value));
#elif defined(__AVX512F__)
  asm("" : "+v"(*value));
#endif
}

// The products of elements [0, units) of a piece at the first kCount points.
template <int kLanes, int kCount, int kTiles, int kVectors>
inline void AddProducts(int units, const float* const (&x)[kTiles], int first, const float*& weights,
                        VectorType<kLanes> (&sums)[kTiles][kVectors][kRowPoints.count]) {
  using Vector = VectorType<kLanes>;
  for (int unit = 0; unit < units; ++unit) {
    const int at = (first + unit) * PointRows::kPlaces;
    for (int i = 0; i < kCount; ++i, weights += kVectors * kLanes) {
      Vector w[kVectors];
      for (int v = 0; v < kVectors; ++v) {
        w[v] = *reinterpret_cast<const Vector*>(weights + v * kLanes);
        if constexpr (kTiles > 1) KeepInRegister<kLanes>(&w[v]);
      }
      for (int t = 0; t < kTiles; ++t) {
        for (int v = 0; v < kVectors; ++v) sums[t][v][i] += x[t][at + i] * w[v];
      }
    }
  }
}

// As many sums as registers hold.
template <int kLanes, int kTiles, int kVectors, int kTileOutputs>
inline void SumTiles(const PointRows& layout, const float* points, const float* weights, float* results) {
  using Vector = VectorType<kLanes>;
  Vector sums[kTiles][kVectors][kRowPoints.count] = {};
  for (int piece = 0; piece < layout.pieces; ++piece, points += layout.piece_stride) {
    const float* x[kTiles];
    for (int t = 0; t < kTiles; ++t) x[t] = points + t * layout.units * PointRows::kPlaces;
    AddProducts<kLanes, kRowPoints.count>(layout.infinite_units, x, 0, weights, sums);
    AddProducts<kLanes, kRowPoints.count - 1>(layout.units - layout.infinite_units, x, layout.infinite_units,
                                              weights, sums);
  }
  for (int t = 0; t < kTiles; ++t) {
    for (int v = 0; v < kVectors; ++v) {
      Vector outputs[kTileOutputs];
      RowOutputs<kLanes>(sums[t][v], outputs);
      for (int i = 0; i < kTileOutputs; ++i) {
        float* const at = results + ((t * kTileOutputs + i) * kVectors + v) * kLanes;
        *reinterpret_cast<Vector*>(at) = outputs[i];
      }
    }
  }
}

template <int kLanes, int kTiles, int kVectors, int kTileOutputs>
void SumRows(const PointRows& layout, const float* points, int tiles, const float* weights, float* sums) {
  const int64_t tile_points = int64_t{layout.units} * PointRows::kPlaces;
  constexpr int kTileSums = kTileOutputs * kVectors * kLanes;
  int tile = 0;
  for (; tile + kTiles <= tiles; tile += kTiles) {
    SumTiles<kLanes, kTiles, kVectors, kTileOutputs>(layout, points + tile * tile_points, weights,
                                                     sums + tile * kTileSums);
  }
  for (; tile < tiles; ++tile) {
    SumTiles<kLanes, 1, kVectors, kTileOutputs>(layout, points + tile * tile_points, weights,
                                                sums + tile * kTileSums);
  }
}

template <int kLanes, int kTiles, int kVectors>
void SumRows(const PointRows& layout, const float* points, int tiles, const float* weights, float* sums) {
  switch (layout.tile_outputs) {
    case 3:
      return SumRows<kLanes, kTiles, kVectors, 3>(layout, points, tiles, weights, sums);
    case 4:
      return SumRows<kLanes, kTiles, kVectors, 4>(layout, points, tiles, weights, sums);
    default:
      return SumRows<kLanes, kTiles, kVectors, 5>(layout, points, tiles, weights, sums);
  }
}

template <int kLanes, int kVectors, int kTileOutputs>
void OutputsOfColumns(const float* sums, int64_t point_stride, int pixels, int outputs,
                      float* const* results) {
  using Vector = VectorType<kLanes>;
  for (int pixel = 0; pixel < pixels; ++pixel) {
    for (int v = 0; v < kVectors; ++v) {
      Vector at_points[kColumnPoints.count], of_tile[kTileOutputs];
      for (int i = 0; i < kColumnPoints.count; ++i) {
        const float* const at = sums + i * point_stride + (pixel * kVectors + v) * kLanes;
        at_points[i] = *reinterpret_cast<const Vector*>(at);
      }
      ColumnOutputs<kLanes>(at_points, of_tile);
      for (int i = 0; i < kTileOutputs && i < outputs; ++i) {
        float* const at = results[i] + pixel * FloatKernel::kOutputs + v * kLanes;
        *reinterpret_cast<Vector*>(at) = of_tile[i];
      }
    }
  }
}

template <int kLanes, int kVectors>
void OutputsOfColumns(int tile_outputs, const float* sums, int64_t point_stride, int pixels, int outputs,
                      float* const* results) {
  switch (tile_outputs) {
    case 2:
      return OutputsOfColumns<kLanes, kVectors, 2>(sums, point_stride, pixels, outputs, results);
    case 3:
      return OutputsOfColumns<kLanes, kVectors, 3>(sums, point_stride, pixels, outputs, results);
    default:
      return OutputsOfColumns<kLanes, kVectors, 4>(sums, point_stride, pixels, outputs, results);
  }
}

// kTiles tiles at a time, and strips of kVectors vectors.
template <int kLanes, int kTiles, int kVectors>
constexpr WindowFilter MakeWindowFilter(const char* name) {
  return {name, RowsAtPoints<(kLanes < PointRows::kPlaces ? kLanes : PointRows::kPlaces)>,
          ColumnsAtPoints<kLanes>, SumRows<kLanes, kTiles, kVectors>, OutputsOfColumns<kLanes, kVectors>};
}

}  // namespace
}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_FLOAT_FILTER_HPP_
