#ifndef CAFFE_LOWBIT_INT8_SUMS_HPP_
#define CAFFE_LOWBIT_INT8_SUMS_HPP_

#include <cstdint>

#include "caffe/lowbit/int8_kernel.hpp"

// The int8 kernel for the instructions of `Simd`, which each file that includes this has of its own.
namespace caffe {
namespace lowbit {
namespace {

// One pixel takes each weight once, from memory, which the processor by itself does not ask early enough.
constexpr int kPrefetchedBytes = 2048;

// kPixels pixels and kStrips strips of two vectors: as many sums as registers hold.
template <typename Simd, int kPixels, int kStrips>
inline void SumInt8Block(const int16_t* const* pixels, const Window& window, const int8_t* weights,
                         const float* units, const float* scales, float* sums) {
  constexpr int kVectors = 2 * kStrips, kStripBytes = 4 * Simd::kLanes;
  const int64_t strip_weights = static_cast<int64_t>(window.total_units) * kStripBytes;
  typename Simd::Vector total[kPixels][kVectors];
  for (int p = 0; p < kPixels; ++p) {
    for (int v = 0; v < kVectors; ++v) total[p][v] = Simd::Zero();
  }
  for (int piece = 0; piece < window.pieces; ++piece) {
    const int16_t* x[kPixels];
    for (int p = 0; p < kPixels; ++p)
      x[p] = pixels[p] + window.offsets[piece] / static_cast<int>(sizeof(int16_t));
    for (int unit = 0; unit < window.units[piece]; ++unit, weights += kStripBytes) {
      typename Simd::Vector w[kVectors];
      for (int v = 0; v < kVectors; ++v) {
        const int8_t* const at = weights + v / 2 * strip_weights + v % 2 * 2 * Simd::kLanes;
        if (kPixels == 1 && v % 2 == 0) __builtin_prefetch(at + kPrefetchedBytes);
        w[v] = Simd::Weights(at);
      }
      for (int p = 0; p < kPixels; ++p) {
        const typename Simd::Vector two = Simd::Two(x[p] + 2 * unit);
        for (int v = 0; v < kVectors; ++v) total[p][v] = Simd::MultiplyAdd(total[p][v], w[v], two);
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
void SumFewInt8Pixels(const int16_t* const* pixels, int count, const Window& window, const int8_t* weights,
                      const float* units, const float* scales, float* sums) {
  if constexpr (kMost > 1) {
    if (count < kMost) {
      return SumFewInt8Pixels<Simd, kMost - 1, kStrips>(pixels, count, window, weights, units, scales, sums);
    }
  }
  SumInt8Block<Simd, kMost, kStrips>(pixels, window, weights, units, scales, sums);
}

// kStrips strips of kPixels pixels at a time.
template <typename Simd, int kPixels, int kStrips>
void Int8Sums(const int16_t* const* pixels, int count, const Window& window, const int8_t* weights,
              int strips, const float* units, const float* scales, float* sums) {
  constexpr int kStrip = 2 * Simd::kLanes;
  const int64_t strip_weights = static_cast<int64_t>(window.total_units) * 2 * kStrip;
  while (count > 0) {
    const int turns = (count + kPixels - 1) / kPixels, turn = (count + turns - 1) / turns;
    int strip = 0;
    for (; strip + kStrips <= strips; strip += kStrips) {
      SumFewInt8Pixels<Simd, kPixels, kStrips>(pixels, turn, window, weights + strip * strip_weights, units,
                                               scales + strip * kStrip, sums + strip * kStrip);
    }
    for (; strip < strips; ++strip) {
      SumFewInt8Pixels<Simd, kPixels, 1>(pixels, turn, window, weights + strip * strip_weights, units,
                                         scales + strip * kStrip, sums + strip * kStrip);
    }
    pixels += turn;
    count -= turn;
    units += turn;
    sums += turn * Int8Kernel::kOutputs;
  }
}

}  // namespace
}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_INT8_SUMS_HPP_
