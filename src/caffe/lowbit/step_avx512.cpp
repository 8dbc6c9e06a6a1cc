// The steps, 64 channels at a time; masks keep from memory what is beyond the last channel. Compiled for
// AVX-512 F, BW, DQ, VL.
#include "caffe/lowbit/cpu_features.hpp"
#include "caffe/lowbit/simd_avx512.hpp"
#include "caffe/lowbit/step_kernel.hpp"

namespace caffe {
namespace lowbit {

namespace {

constexpr int kOutputs = Sums16::kOutputs;
constexpr int kLanes = 16;

// The first `lanes` lanes, none where that is negative.
uint64_t FirstLanes(int lanes) {
  return lanes >= 64 ? ~uint64_t{0} : lanes > 0 ? (uint64_t{1} << lanes) - 1 : 0;
}
__mmask16 First16(int lanes) { return static_cast<__mmask16>(FirstLanes(lanes)); }
__mmask32 First32(int lanes) { return static_cast<__mmask32>(FirstLanes(lanes)); }

template <typename T>
T* Row(const Tile<T>& tile, int pixel) {
  return tile.values + static_cast<int64_t>(pixel) * tile.stride;
}

// The values of half a pixel's outputs; `twice` has all bits where sums count twice.
__m512i HalfOfValues(const int16_t* sums, __m512i twice, __m512i digits, __m512i constants) {
  const __m512i s = _mm512_loadu_si512(sums);
  const __m512i product = _mm512_add_epi16(s, _mm512_and_si512(s, twice));
  return _mm512_sub_epi16(_mm512_sub_epi16(product, digits), constants);
}

void Thresholds(const Sums16& values, int pixels, int channels, const int16_t* t, int count, int stride,
                Tile<uint8_t> codes) {
  const __mmask32 low_lanes = First32(channels), high_lanes = First32(channels - 32);
  const __mmask64 lanes = FirstLanes(channels);
  const __m512i low_constants = _mm512_loadu_si512(values.constants);
  const __m512i high_constants = _mm512_loadu_si512(values.constants + 32);
  const __m512i one = _mm512_set1_epi8(1);
  const __m512i twice = _mm512_set1_epi8(values.factor == 2 ? -1 : 0);
  for (int p = 0; p < pixels; ++p) {
    const int16_t* const sums = values.sums + p * kOutputs;
    const __m512i digits = _mm512_set1_epi16(static_cast<int16_t>(values.digit_sums[p]));
    const __m512i low = HalfOfValues(sums, twice, digits, low_constants);
    const __m512i high = HalfOfValues(sums + 32, twice, digits, high_constants);
    __m512i code = _mm512_setzero_si512();
    const int16_t* of_channels = t;
    for (int j = 0; j < count; ++j, of_channels += stride) {
      const __m512i low_t = _mm512_maskz_loadu_epi16(low_lanes, of_channels);
      const __m512i high_t = _mm512_maskz_loadu_epi16(high_lanes, of_channels + 32);
      const __mmask64 reached =
          _mm512_kunpackd(_mm512_cmple_epi16_mask(high_t, high), _mm512_cmple_epi16_mask(low_t, low));
      code = _mm512_mask_add_epi8(code, reached, code, one);
    }
    _mm512_mask_storeu_epi8(Row(codes, p), lanes, code);
  }
}

// Values of kGroups * kLanes channels from `first` on.
template <int kGroups>
class Reals {
 public:
  Reals(Tile<const float> values, int first) : values_(values), first_(first) {}

  __m512 Load(int pixel, int group, __mmask16 lanes) const {
    return _mm512_maskz_loadu_ps(lanes, Row(values_, pixel) + first_ + group * kLanes);
  }

 private:
  const Tile<const float> values_;
  const int first_;
};

// These are small integers, whose floats are exact in whatever order they are added.
template <int kGroups>
class Sums {
 public:
  Sums(const Sums16& values, int first)
      : sums_(values.sums + first),
        digit_sums_(values.digit_sums),
        factor_(_mm512_set1_ps(static_cast<float>(values.factor))) {
    for (int i = 0; i < kGroups; ++i) {
      const __m256i words = At(values.constants + first + i * kLanes);
      constants_[i] = _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(words));
    }
  }

  __m512 Load(int pixel, int group, __mmask16) const {
    const __m256i words = At(sums_ + pixel * kOutputs + group * kLanes);
    const __m512 sums = _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(words));
    const __m512 digits = _mm512_set1_ps(static_cast<float>(digit_sums_[pixel]));
    return _mm512_fmsub_ps(factor_, sums, _mm512_add_ps(digits, constants_[group]));
  }

 private:
  static __m256i At(const void* at) { return _mm256_loadu_si256(static_cast<const __m256i*>(at)); }

  const int16_t* const sums_;
  const int32_t* const digit_sums_;
  const __m512 factor_;
  __m512 constants_[kGroups];
};

// The lanes of up to 64 channels in which y is above t, a bit each.
template <int kGroups>
__mmask64 Above(const __m512* y, __m512 t) {
  const __mmask16 first = _mm512_cmplt_ps_mask(t, y[0]);
  if constexpr (kGroups == 1) {
    return first;
  } else {
    const __mmask32 low = _mm512_kunpackw(_mm512_cmplt_ps_mask(t, y[1]), first);
    const __mmask32 high = _mm512_kunpackw(_mm512_cmplt_ps_mask(t, y[3]), _mm512_cmplt_ps_mask(t, y[2]));
    return _mm512_kunpackd(high, low);
  }
}

// The tail of kGroups * kLanes channels from `first` on, or of as many as there are, with kThresholds
// thresholds, or any number of them where that is 0.
template <int kGroups, int kThresholds, typename Values>
void RunChannels(const Tail& tail, const Values& values, int first) {
  const int channels = tail.channels - first;
  __mmask16 lanes[kGroups];
  __m512 a[kGroups], b[kGroups], g[kGroups], h[kGroups];
  for (int i = 0; i < kGroups; ++i) {
    const int channel = first + i * kLanes;
    lanes[i] = First16(channels - i * kLanes);
    a[i] = _mm512_maskz_loadu_ps(lanes[i], tail.a + channel);
    b[i] = _mm512_maskz_loadu_ps(lanes[i], tail.b + channel);
    g[i] = _mm512_maskz_loadu_ps(lanes[i], tail.g + channel);
    h[i] = _mm512_maskz_loadu_ps(lanes[i], tail.h + channel);
  }
  __m512 known_t[kThresholds ? kThresholds : 1];
  for (int j = 0; j < kThresholds; ++j) known_t[j] = _mm512_set1_ps(tail.thresholds[j]);
  const bool rectifies = tail.slope != 1;
  const __m512 slope = _mm512_set1_ps(tail.slope), zero = _mm512_set1_ps(0);
  const __m512i one = _mm512_set1_epi8(1);
  for (int p = 0; p < tail.pixels; ++p) {
    __m512 y[kGroups];
    for (int i = 0; i < kGroups; ++i) {
      y[i] = _mm512_add_ps(_mm512_mul_ps(a[i], values.Load(p, i, lanes[i])), b[i]);
    }
    if (tail.shortcut.values) {
      const float* const shortcut = Row(tail.shortcut, p) + first;
      for (int i = 0; i < kGroups; ++i) {
        y[i] = _mm512_add_ps(y[i], _mm512_maskz_loadu_ps(lanes[i], shortcut + i * kLanes));
      }
    }
    if (rectifies) {
      // Where both are 0, or one is no number, these are their second operand.
      for (int i = 0; i < kGroups; ++i) {
        y[i] = _mm512_add_ps(_mm512_max_ps(y[i], zero), _mm512_mul_ps(slope, _mm512_min_ps(zero, y[i])));
      }
    }
    if (tail.kept.values) {
      float* const kept = Row(tail.kept, p) + first;
      for (int i = 0; i < kGroups; ++i) _mm512_mask_storeu_ps(kept + i * kLanes, lanes[i], y[i]);
    }
    if (!tail.codes.values) continue;
    for (int i = 0; i < kGroups; ++i) y[i] = _mm512_add_ps(_mm512_mul_ps(g[i], y[i]), h[i]);
    __m512i codes = _mm512_setzero_si512();
    const int count = kThresholds ? kThresholds : tail.threshold_count;
    for (int j = 0; j < count; ++j) {
      const __m512 t = kThresholds ? known_t[j] : _mm512_set1_ps(tail.thresholds[j]);
      codes = _mm512_mask_add_epi8(codes, Above<kGroups>(y, t), codes, one);
    }
    _mm512_mask_storeu_epi8(Row(tail.codes, p) + first,
                            FirstLanes(channels < kGroups * kLanes ? channels : kGroups * kLanes), codes);
  }
}

template <template <int> class Values, int kThresholds, typename Source>
void RunGroups(const Tail& tail, const Source& source) {
  for (int first = 0; first < tail.channels;) {
    if (tail.channels - first > 2 * kLanes) {
      RunChannels<4, kThresholds>(tail, Values<4>(source, first), first);
      first += 4 * kLanes;
    } else {
      RunChannels<1, kThresholds>(tail, Values<1>(source, first), first);
      first += kLanes;
    }
  }
}

template <template <int> class Values, typename Source>
void RunTail(const Tail& tail, const Source& source) {
  if (tail.threshold_count == 3) return RunGroups<Values, 3>(tail, source);
  RunGroups<Values, 0>(tail, source);
}

void TailOfSums(const Tail& tail, const Sums16& values) { RunTail<Sums>(tail, values); }

void TailOfReals(const Tail& tail, Tile<const float> values) { RunTail<Reals>(tail, values); }

}  // namespace

const StepKernel kStepAvx512 = {"avx512", HasAvx512, Thresholds, TailOfSums, TailOfReals};

}  // namespace lowbit
}  // namespace caffe
