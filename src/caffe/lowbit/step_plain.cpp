#include <cstring>

#include "caffe/lowbit/step_kernel.hpp"
#include "caffe/util/target_clones.hpp"

namespace caffe {
namespace lowbit {

namespace {

// A pixel's values; `room` is there for those that have to be computed.
template <typename Value>
[[gnu::always_inline]] inline const Value* RowOf(Tile<const Value> x, int pixel, int16_t*) {
  return x.row(pixel);
}
[[gnu::always_inline]] inline const int16_t* RowOf(const Sums16& x, int pixel, int16_t* room) {
  x.Expand(pixel, room);
  return room;
}

template <typename Sum, int kThresholds>
inline void ThresholdRow(const Sum* v, int channels, const Sum* t, int stride, uint8_t* codes) {
  for (int c = 0; c < channels; ++c) {
    Sum code = 0;
    for (int j = 0; j < kThresholds; ++j) code = static_cast<Sum>(code + (v[c] >= t[j * stride + c]));
    codes[c] = static_cast<uint8_t>(code);
  }
}

// For any number of thresholds: threshold by threshold, so that the loops over channels vectorize.
template <typename Sum>
inline void ThresholdRow(const Sum* v, int channels, const Sum* t, int thresholds, int stride,
                         uint8_t* codes) {
  std::memset(codes, 0, channels);
  for (int j = 0; j < thresholds; ++j) {
    for (int c = 0; c < channels; ++c)
      codes[c] = static_cast<uint8_t>(codes[c] + (v[c] >= t[j * stride + c]));
  }
}

template <typename Values, typename Sum>
inline void ThresholdRows(const Values& v, int pixels, int channels, const Sum* t, int thresholds, int stride,
                          Tile<uint8_t> codes) {
  alignas(64) int16_t room[Sums16::kOutputs];
  for (int p = 0; p < pixels; ++p) {
    const Sum* const row = RowOf(v, p, room);
    if (thresholds == 3) {
      ThresholdRow<Sum, 3>(row, channels, t, stride, codes.row(p));
    } else {
      ThresholdRow<Sum>(row, channels, t, thresholds, stride, codes.row(p));
    }
  }
}

// A pixel's values; which parts there are is known at compile time, so that the loop vectorizes.
template <bool kAdds, bool kRectifies, bool kKeeps, int kThresholds, typename Value>
[[gnu::always_inline]] inline void RunRow(const Tail& tail, int pixel, const Value* x) {
  const float *a = tail.a, *b = tail.b, *g = tail.g, *h = tail.h;
  const int channels = tail.channels, threshold_count = tail.threshold_count;
  const float* thresholds = tail.thresholds;
  const float slope = tail.slope;
  const float* shortcut = kAdds ? tail.shortcut.row(pixel) : nullptr;
  float* kept = kKeeps ? tail.kept.row(pixel) : nullptr;
  uint8_t* codes = kThresholds != 0 ? tail.codes.row(pixel) : nullptr;
  float t[kThresholds > 0 ? kThresholds : 1];
  for (int j = 0; j < kThresholds; ++j) t[j] = tail.thresholds[j];
    // What is written is nowhere read here.
#pragma GCC ivdep
  for (int c = 0; c < channels; ++c) {
    float y = a[c] * static_cast<float>(x[c]) + b[c];
    if (kAdds) y += shortcut[c];
    if (kRectifies) y = Rectified(y, slope);
    if (kKeeps) kept[c] = y;
    if (kThresholds == 0) continue;
    y = g[c] * y + h[c];
    int code = 0;
    if (kThresholds > 0) {
      for (int j = 0; j < kThresholds; ++j) code += y > t[j];
    } else {
      for (int j = 0; j < threshold_count; ++j) code += y > thresholds[j];
    }
    codes[c] = static_cast<uint8_t>(code);
  }
}

template <bool kAdds, bool kRectifies, bool kKeeps, typename Values>
[[gnu::always_inline]] inline void RunRows(const Tail& tail, const Values& x) {
  alignas(64) int16_t room[Sums16::kOutputs];
  for (int p = 0; p < tail.pixels; ++p) {
    const auto* const row = RowOf(x, p, room);
    if (!tail.codes.values) {
      RunRow<kAdds, kRectifies, kKeeps, 0>(tail, p, row);
    } else if (tail.threshold_count == 3) {
      RunRow<kAdds, kRectifies, kKeeps, 3>(tail, p, row);
    } else {
      RunRow<kAdds, kRectifies, kKeeps, -1>(tail, p, row);
    }
  }
}

template <bool kAdds, bool kRectifies, typename Values>
[[gnu::always_inline]] inline void RunKept(const Tail& tail, const Values& x) {
  if (tail.kept.values) return RunRows<kAdds, kRectifies, true>(tail, x);
  RunRows<kAdds, kRectifies, false>(tail, x);
}

template <bool kAdds, typename Values>
[[gnu::always_inline]] inline void RunRectified(const Tail& tail, const Values& x) {
  if (tail.slope != 1) return RunKept<kAdds, true>(tail, x);
  RunKept<kAdds, false>(tail, x);
}

template <typename Values>
[[gnu::always_inline]] inline void RunAll(const Tail& tail, const Values& x) {
  if (tail.shortcut.values) return RunRectified<true>(tail, x);
  RunRectified<false>(tail, x);
}

CAFFE_TARGET_CLONES void Thresholds(const Sums16& values, int pixels, int channels, const int16_t* t,
                                    int count, int stride, Tile<uint8_t> codes) {
  ThresholdRows(values, pixels, channels, t, count, stride, codes);
}

CAFFE_TARGET_CLONES void TailOfSums(const Tail& tail, const Sums16& values) { RunAll(tail, values); }

CAFFE_TARGET_CLONES void TailOfReals(const Tail& tail, Tile<const float> values) { RunAll(tail, values); }

bool Always() { return true; }

}  // namespace

CAFFE_TARGET_CLONES void Thresholds32(Tile<const int32_t> values, int pixels, int channels, const int32_t* t,
                                      int count, int stride, Tile<uint8_t> codes) {
  ThresholdRows(values, pixels, channels, t, count, stride, codes);
}

CAFFE_TARGET_CLONES void Tail32(const Tail& tail, Tile<const int32_t> values) { RunAll(tail, values); }

const StepKernel kStepPlain = {"plain", Always, Thresholds, TailOfSums, TailOfReals};

}  // namespace lowbit
}  // namespace caffe
