#ifndef CAFFE_LOWBIT_INT8_SUMS_HPP_
#define CAFFE_LOWBIT_INT8_SUMS_HPP_

#include <cstdint>
#include <cstring>

#include "caffe/lowbit/int8_kernel.hpp"

// The int8 kernel for the instructions of `Simd`, which each file that includes this has of its own.
namespace caffe {
namespace lowbit {
namespace {

constexpr int kInt8UnitBytes = 4;

// One pixel takes each weight once, from memory, which the processor by itself does not ask early enough.
constexpr int kPrefetchedBytes = 2048;

// kPixels pixels and kStrips strips of two vectors: as many sums as registers hold.
template <typename Simd, int kPixels, int kStrips>
inline void SumInt8Block(const uint8_t* const* pixels, const Window& window, const int8_t* weights,
                         const int32_t* const* starts, const float* units, const float* scales, float* sums) {
  constexpr int kVectors = 2 * kStrips, kVectorBytes = Simd::kLanes * Simd::kValues;
  const int64_t strip_weights = static_cast<int64_t>(window.total_units) * 2 * kVectorBytes;
  typename Simd::Vector total[kPixels][kVectors];
  for (int p = 0; p < kPixels; ++p) {
    for (int v = 0; v < kVectors; ++v) total[p][v] = Simd::Start(starts[p] + v * Simd::kLanes);
  }
  for (int piece = 0; piece < window.pieces; ++piece) {
    const uint8_t* x[kPixels];
    for (int p = 0; p < kPixels; ++p) x[p] = pixels[p] + window.offsets[piece];
    for (int unit = 0; unit < window.units[piece]; ++unit, weights += 2 * kVectorBytes) {
      typename Simd::Vector w[kVectors];
      for (int v = 0; v < kVectors; ++v) {
        const int8_t* const at = weights + v / 2 * strip_weights + v % 2 * kVectorBytes;
        if (kPixels == 1 && v % 2 == 0) __builtin_prefetch(at + kPrefetchedBytes);
        w[v] = Simd::Weights(at);
      }
      for (int p = 0; p < kPixels; ++p) {
        int values;
        std::memcpy(&values, x[p] + unit * kInt8UnitBytes, sizeof(values));
        const typename Simd::Vector everywhere = Simd::Everywhere(values);
        for (int v = 0; v < kVectors; ++v) total[p][v] = Simd::MultiplyAdd(total[p][v], w[v], everywhere);
      }
    }
  }
  for (int p = 0; p < kPixels; ++p) {
    for (int v = 0; v < kVectors; ++v) {
      Simd::Store(total[p][v], units[p], scales + v * Simd::kLanes,
                  sums + p * Int8Kernel::kOutputs + v * Simd::kLanes);
    }
  }
}

// For 1 to kMost pixels.
template <typename Simd, int kMost, int kStrips>
void SumFewInt8Pixels(const uint8_t* const* pixels, int count, const Window& window, const int8_t* weights,
                      const int32_t* const* starts, const float* units, const float* scales, float* sums) {
  if constexpr (kMost > 1) {
    if (count < kMost) {
      return SumFewInt8Pixels<Simd, kMost - 1, kStrips>(pixels, count, window, weights, starts, units, scales,
                                                        sums);
    }
  }
  SumInt8Block<Simd, kMost, kStrips>(pixels, window, weights, starts, units, scales, sums);
}

// kStrips strips of kPixels pixels at a time.
template <typename Simd, int kPixels, int kStrips>
void Int8Sums(const uint8_t* const* pixels, int count, const Window& window, const int8_t* weights,
              int strips, const int32_t* const* starts, const float* units, const float* scales, uint8_t*,
              float* sums) {
  constexpr int kStrip = 2 * Simd::kLanes;
  static_assert(Int8Kernel::kOutputs % (kStrip * kStrips) == 0,
                "strips that are taken together begin a block");
  const int64_t strip_weights = static_cast<int64_t>(window.total_units) * kStrip * Simd::kValues;
  const int32_t* of_strip[kPixels];
  while (count > 0) {
    const int turns = (count + kPixels - 1) / kPixels, turn = (count + turns - 1) / turns;
    for (int strip = 0; strip < strips;) {
      for (int p = 0; p < turn; ++p) of_strip[p] = starts[p] + strip * kStrip;
      const auto sum = strip + kStrips <= strips ? SumFewInt8Pixels<Simd, kPixels, kStrips>
                                                 : SumFewInt8Pixels<Simd, kPixels, 1>;
      sum(pixels, turn, window, weights + strip * strip_weights, of_strip, units, scales + strip * kStrip,
          sums + strip * kStrip);
      strip += strip + kStrips <= strips ? kStrips : 1;
    }
    pixels += turn;
    count -= turn;
    starts += turn;
    units += turn;
    sums += turn * Int8Kernel::kOutputs;
  }
}

}  // namespace
}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_INT8_SUMS_HPP_
