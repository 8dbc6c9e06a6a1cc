#include "caffe/lowbit/tail.hpp"

#include "caffe/util/target_clones.hpp"

namespace caffe {
namespace lowbit {

namespace {

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

template <bool kAdds, bool kRectifies, bool kKeeps, typename Value>
[[gnu::always_inline]] inline void RunRows(const Tail& tail, Tile<const Value> x) {
  for (int p = 0; p < tail.pixels; ++p) {
    if (!tail.codes.values) {
      RunRow<kAdds, kRectifies, kKeeps, 0>(tail, p, x.row(p));
    } else if (tail.threshold_count == 3) {
      RunRow<kAdds, kRectifies, kKeeps, 3>(tail, p, x.row(p));
    } else {
      RunRow<kAdds, kRectifies, kKeeps, -1>(tail, p, x.row(p));
    }
  }
}

template <bool kAdds, bool kRectifies, typename Value>
[[gnu::always_inline]] inline void RunKept(const Tail& tail, Tile<const Value> x) {
  if (tail.kept.values) return RunRows<kAdds, kRectifies, true>(tail, x);
  RunRows<kAdds, kRectifies, false>(tail, x);
}

template <bool kAdds, typename Value>
[[gnu::always_inline]] inline void RunRectified(const Tail& tail, Tile<const Value> x) {
  if (tail.slope != 1) return RunKept<kAdds, true>(tail, x);
  RunKept<kAdds, false>(tail, x);
}

template <typename Value>
[[gnu::always_inline]] inline void RunAll(const Tail& tail, Tile<const Value> x) {
  if (tail.shortcut.values) return RunRectified<true>(tail, x);
  RunRectified<false>(tail, x);
}

}  // namespace

CAFFE_TARGET_CLONES void RunTail(const Tail& tail, Tile<const float> x) { RunAll(tail, x); }

CAFFE_TARGET_CLONES void RunTail(const Tail& tail, Tile<const int16_t> x) { RunAll(tail, x); }

CAFFE_TARGET_CLONES void RunTail(const Tail& tail, Tile<const int32_t> x) { RunAll(tail, x); }

}  // namespace lowbit
}  // namespace caffe
