#ifndef CAFFE_LOWBIT_FLOAT_SUMS_HPP_
#define CAFFE_LOWBIT_FLOAT_SUMS_HPP_

#include "caffe/lowbit/float_kernel.hpp"
#include "caffe/lowbit/float_vector.hpp"

// The float kernel for vectors of kLanes values; each file that includes this is compiled for another
// instruction set, so that all of it is local to the file.
namespace caffe {
namespace lowbit {
namespace {

// One pixel takes each weight once, from memory, which the processor by itself does not ask early enough.
constexpr int kPrefetchedWeights = 1024;

// kPixels pixels and kStrips strips of kVectors vectors: as many accumulators as registers hold.
template <int kLanes, int kPixels, int kVectors, int kStrips>
inline void SumBlock(const float* const* pixels, const Window& window, const float* weights, float* sums) {
  using Vector = VectorType<kLanes>;
  constexpr int kStrip = kLanes * kVectors;
  Vector total[kPixels][kStrips * kVectors] = {};
  const int64_t strip_weights = static_cast<int64_t>(window.total_units) * kStrip;
  for (int piece = 0; piece < window.pieces; ++piece) {
    const float* x[kPixels];
    for (int p = 0; p < kPixels; ++p)
      x[p] = pixels[p] + window.offsets[piece] / static_cast<int>(sizeof(float));
    for (int unit = 0; unit < window.units[piece]; ++unit, weights += kStrip) {
      Vector w[kStrips * kVectors];
      for (int v = 0; v < kStrips * kVectors; ++v) {
        const float* const at = weights + v / kVectors * strip_weights + v % kVectors * kLanes;
        if (kPixels == 1) __builtin_prefetch(at + kPrefetchedWeights);
        w[v] = *reinterpret_cast<const Vector*>(at);
      }
      for (int p = 0; p < kPixels; ++p) {
        for (int v = 0; v < kStrips * kVectors; ++v) total[p][v] += x[p][unit] * w[v];
      }
    }
  }
  for (int p = 0; p < kPixels; ++p) {
    for (int v = 0; v < kStrips * kVectors; ++v) {
      *reinterpret_cast<Vector*>(sums + p * FloatKernel::kOutputs + v * kLanes) = total[p][v];
    }
  }
}

// For 1 to kMost pixels.
template <int kLanes, int kMost, int kVectors, int kStrips>
void SumFewPixels(const float* const* pixels, int count, const Window& window, const float* weights,
                  float* sums) {
  if constexpr (kMost > 1) {
    if (count < kMost) {
      return SumFewPixels<kLanes, kMost - 1, kVectors, kStrips>(pixels, count, window, weights, sums);
    }
  }
  SumBlock<kLanes, kMost, kVectors, kStrips>(pixels, window, weights, sums);
}

// kStrips strips of kPixels pixels at a time.
template <int kLanes, int kVectors, int kStrips, int kPixels>
void FloatSums(const float* const* pixels, int count, const Window& window, const float* weights, int strips,
               float* sums) {
  constexpr int kStrip = kLanes * kVectors;
  // One pixel is too little to hide the latency of an addition: more outputs do.
  constexpr int kWide = FloatKernel::kOutputs / kStrip < 4 ? FloatKernel::kOutputs / kStrip : 4;
  const int64_t strip_weights = static_cast<int64_t>(window.total_units) * kStrip;
  while (count > 0) {
    // Turns that are about equal: few pixels leave the multipliers waiting for additions.
    const int turns = (count + kPixels - 1) / kPixels, turn = (count + turns - 1) / turns;
    const int together = turn == 1 ? kWide : kStrips;
    int strip = 0;
    for (; strip + together <= strips; strip += together) {
      const float* const of_strips = weights + strip * strip_weights;
      if (turn == 1) {
        SumBlock<kLanes, 1, kVectors, kWide>(pixels, window, of_strips, sums + strip * kStrip);
      } else {
        SumFewPixels<kLanes, kPixels, kVectors, kStrips>(pixels, turn, window, of_strips,
                                                         sums + strip * kStrip);
      }
    }
    for (; strip < strips; ++strip) {
      SumFewPixels<kLanes, kPixels, kVectors, 1>(pixels, turn, window, weights + strip * strip_weights,
                                                 sums + strip * kStrip);
    }
    pixels += turn;
    count -= turn;
    sums += turn * FloatKernel::kOutputs;
  }
}

}  // namespace
}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_FLOAT_SUMS_HPP_
