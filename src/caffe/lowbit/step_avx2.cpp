// The steps, 32 channels at a time; other numbers of channels are left to the plain kernel. Compiled for AVX2
// and FMA.
#include <immintrin.h>

#include "caffe/lowbit/cpu_features.hpp"
#include "caffe/lowbit/step_kernel.hpp"

namespace caffe {
namespace lowbit {

namespace {

constexpr int kOutputs = Sums16::kOutputs;
constexpr int kLanes = 8, kGroups = 4, kChannels = kGroups * kLanes;

template <typename T>
T* Row(const Tile<T>& tile, int pixel) {
  return tile.values + static_cast<int64_t>(pixel) * tile.stride;
}

__m256i At(const void* at) { return _mm256_loadu_si256(static_cast<const __m256i*>(at)); }

void Store(uint8_t* codes, __m256i code) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes), code); }

// The values of 16 outputs; `twice` has all bits where sums count twice.
__m256i ValuesOf16(const int16_t* sums, __m256i twice, __m256i digits, __m256i constants) {
  const __m256i s = At(sums);
  const __m256i product = _mm256_add_epi16(s, _mm256_and_si256(s, twice));
  return _mm256_sub_epi16(_mm256_sub_epi16(product, digits), constants);
}

// Codes of kChannels channels; of kThresholds thresholds, or of any number where that is 0.
template <int kThresholds>
void ThresholdChannels(const Sums16& values, int first, int pixels, const int16_t* t, int count, int stride,
                       const Tile<uint8_t>& codes) {
  if (kThresholds) count = kThresholds;
  __m256i known_low[kThresholds ? kThresholds : 1], known_high[kThresholds ? kThresholds : 1];
  for (int j = 0; j < kThresholds; ++j) {
    known_low[j] = At(t + j * stride);
    known_high[j] = At(t + j * stride + 16);
  }
  const __m256i low_constants = At(values.constants + first);
  const __m256i high_constants = At(values.constants + first + 16);
  const __m256i all = _mm256_set1_epi8(static_cast<char>(count));
  const __m256i twice = _mm256_set1_epi8(values.factor == 2 ? -1 : 0);
  for (int p = 0; p < pixels; ++p) {
    const int16_t* const sums = values.sums + p * kOutputs + first;
    const __m256i digits = _mm256_set1_epi16(static_cast<int16_t>(values.digit_sums[p]));
    const __m256i low = ValuesOf16(sums, twice, digits, low_constants);
    const __m256i high = ValuesOf16(sums + 16, twice, digits, high_constants);
    // Minus the number of thresholds above the values.
    __m256i low_above = _mm256_setzero_si256(), high_above = _mm256_setzero_si256();
    for (int j = 0; j < count; ++j) {
      const __m256i low_t = kThresholds ? known_low[j] : At(t + j * stride);
      const __m256i high_t = kThresholds ? known_high[j] : At(t + j * stride + 16);
      low_above = _mm256_add_epi16(low_above, _mm256_cmpgt_epi16(low_t, low));
      high_above = _mm256_add_epi16(high_above, _mm256_cmpgt_epi16(high_t, high));
    }
    // The second and third quarters change places.
    const __m256i above = _mm256_permute4x64_epi64(_mm256_packs_epi16(low_above, high_above), 0xd8);
    Store(Row(codes, p) + first, _mm256_add_epi8(all, above));
  }
}

void Thresholds(const Sums16& values, int pixels, int channels, const int16_t* t, int count, int stride,
                Tile<uint8_t> codes) {
  if (channels % kChannels != 0) {
    return kStepPlain.thresholds(values, pixels, channels, t, count, stride, codes);
  }
  for (int c = 0; c < channels; c += kChannels) {
    if (count == 3) {
      ThresholdChannels<3>(values, c, pixels, t + c, count, stride, codes);
    } else {
      ThresholdChannels<0>(values, c, pixels, t + c, count, stride, codes);
    }
  }
}

// Values of kChannels channels from `first` on.
class Reals {
 public:
  Reals(Tile<const float> values, int first) : values_(values), first_(first) {}

  __m256 Load(int pixel, int group) const {
    return _mm256_loadu_ps(Row(values_, pixel) + first_ + group * kLanes);
  }

 private:
  const Tile<const float> values_;
  const int first_;
};

// These are small integers, whose floats are exact in whatever order they are added.
class Sums {
 public:
  Sums(const Sums16& values, int first)
      : sums_(values.sums + first),
        digit_sums_(values.digit_sums),
        factor_(_mm256_set1_ps(static_cast<float>(values.factor))) {
    for (int i = 0; i < kGroups; ++i) {
      const __m256i words = _mm256_cvtepi16_epi32(Words(values.constants + first + i * kLanes));
      constants_[i] = _mm256_cvtepi32_ps(words);
    }
  }

  __m256 Load(int pixel, int group) const {
    const __m128i words = Words(sums_ + pixel * kOutputs + group * kLanes);
    const __m256 sums = _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(words));
    const __m256 digits = _mm256_set1_ps(static_cast<float>(digit_sums_[pixel]));
    return _mm256_fmsub_ps(factor_, sums, _mm256_add_ps(digits, constants_[group]));
  }

 private:
  static __m128i Words(const void* at) { return _mm_loadu_si128(static_cast<const __m128i*>(at)); }

  const int16_t* const sums_;
  const int32_t* const digit_sums_;
  const __m256 factor_;
  __m256 constants_[kGroups];
};

// Four groups' words of 32 bits as bytes.
__m256i Bytes(const __m256i* words) {
  const __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(words[0], words[1]),  //
                                           _mm256_packs_epi32(words[2], words[3]));
  return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

__m256 ScaledAndShifted(__m256 x, const float* factors, const float* addends) {
  return _mm256_add_ps(_mm256_mul_ps(_mm256_loadu_ps(factors), x), _mm256_loadu_ps(addends));
}

// The tail of kChannels channels; with kThresholds thresholds, or any number of them where that is 0.
template <int kThresholds, typename Values>
void RunChannels(const Tail& tail, const Values& values, int first) {
  const bool rectifies = tail.slope != 1;
  const __m256 slope = _mm256_set1_ps(tail.slope), zero = _mm256_setzero_ps();
  const float *const a = tail.a + first, *const b = tail.b + first;
  const float *const g = tail.g + first, *const h = tail.h + first;
  const int count = kThresholds ? kThresholds : tail.threshold_count;
  __m256 known_t[kThresholds ? kThresholds : 1];
  for (int j = 0; j < kThresholds; ++j) known_t[j] = _mm256_set1_ps(tail.thresholds[j]);
  for (int p = 0; p < tail.pixels; ++p) {
    __m256 y[kGroups];
    for (int i = 0; i < kGroups; ++i) {
      y[i] = ScaledAndShifted(values.Load(p, i), a + i * kLanes, b + i * kLanes);
    }
    if (tail.shortcut.values) {
      const float* const shortcut = Row(tail.shortcut, p) + first;
      for (int i = 0; i < kGroups; ++i) y[i] = _mm256_add_ps(y[i], _mm256_loadu_ps(shortcut + i * kLanes));
    }
    if (rectifies) {
      // Where both are 0, or one is no number, these are their second operand.
      for (int i = 0; i < kGroups; ++i) {
        y[i] = _mm256_add_ps(_mm256_max_ps(y[i], zero), _mm256_mul_ps(slope, _mm256_min_ps(zero, y[i])));
      }
    }
    if (tail.kept.values) {
      float* const kept = Row(tail.kept, p) + first;
      for (int i = 0; i < kGroups; ++i) _mm256_storeu_ps(kept + i * kLanes, y[i]);
    }
    if (!tail.codes.values) continue;
    __m256i codes[kGroups];
    for (int i = 0; i < kGroups; ++i) {
      y[i] = ScaledAndShifted(y[i], g + i * kLanes, h + i * kLanes);
      codes[i] = _mm256_setzero_si256();
    }
    for (int j = 0; j < count; ++j) {
      const __m256 t = kThresholds ? known_t[j] : _mm256_set1_ps(tail.thresholds[j]);
      for (int i = 0; i < kGroups; ++i) {
        const __m256i above = _mm256_castps_si256(_mm256_cmp_ps(t, y[i], _CMP_LT_OQ));
        codes[i] = _mm256_sub_epi32(codes[i], above);
      }
    }
    Store(Row(tail.codes, p) + first, Bytes(codes));
  }
}

template <typename Values, typename Source>
void RunTail(const Tail& tail, const Source& source) {
  for (int first = 0; first < tail.channels; first += kChannels) {
    if (tail.threshold_count == 3) {
      RunChannels<3>(tail, Values(source, first), first);
    } else {
      RunChannels<0>(tail, Values(source, first), first);
    }
  }
}

void TailOfSums(const Tail& tail, const Sums16& values) {
  if (tail.channels % kChannels != 0) return kStepPlain.tail_of_sums(tail, values);
  RunTail<Sums>(tail, values);
}

void TailOfReals(const Tail& tail, Tile<const float> values) {
  if (tail.channels % kChannels != 0) return kStepPlain.tail(tail, values);
  RunTail<Reals>(tail, values);
}

}  // namespace

const StepKernel kStepAvx2 = {"avx2", HasAvx2, Thresholds, TailOfSums, TailOfReals};

}  // namespace lowbit
}  // namespace caffe
