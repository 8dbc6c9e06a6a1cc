// Sums by counting bits, as binary_popcount.cpp, eight outputs at a time. Compiled for AVX-512 F, BW, DQ, VL
// and VPOPCNTDQ.
#include <cstring>

#include "caffe/lowbit/binary_kernels.hpp"
#include "caffe/lowbit/binary_weights.hpp"
#include "caffe/lowbit/cpu_features.hpp"
#include "caffe/lowbit/simd_avx512.hpp"

namespace caffe {
namespace lowbit {

namespace {

constexpr int kOutputs = BinaryKernel::kOutputs;
// As many as have the counts of two groups of outputs in registers.
constexpr int kMostPixels = 6;

__m512i BroadcastWord(const uint8_t* at) {
  int64_t word;
  std::memcpy(&word, at, sizeof(word));
  return _mm512_set1_epi64(word);
}

// Counts of both planes' bits under eight outputs' weights.
struct Counts {
  __m512i low, high;

  void Clear() { low = high = _mm512_setzero_si512(); }

  void Add(__m512i low_plane, __m512i high_plane, __m512i weights) {
    low = _mm512_add_epi64(low, _mm512_popcnt_epi64(_mm512_and_si512(low_plane, weights)));
    high = _mm512_add_epi64(high, _mm512_popcnt_epi64(_mm512_and_si512(high_plane, weights)));
  }

  __m512i Sum() const { return _mm512_add_epi64(low, _mm512_add_epi64(high, high)); }

  void Store(uint32_t* sums) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums), _mm512_cvtepi64_epi32(Sum()));
  }
  void Store(uint16_t* sums) const {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(sums), _mm512_cvtepi64_epi16(Sum()));
  }
};

template <int kPixels, typename Sum>
void SumTwoGroups(const uint8_t* const* pixels, const Window& window, const uint8_t* weights, Sum* sums) {
  Counts first[kPixels], second[kPixels];
  for (int p = 0; p < kPixels; ++p) {
    first[p].Clear();
    second[p].Clear();
  }
  const uint8_t* second_weights = weights + static_cast<size_t>(window.total_units) * kWordGroupBytes;
  for (int piece = 0; piece < window.pieces; ++piece) {
    const uint8_t* digits[kPixels];
    for (int p = 0; p < kPixels; ++p) digits[p] = pixels[p] + window.offsets[piece];
    const int units = window.units[piece];
    for (int unit = 0; unit < units; ++unit) {
      const __m512i word_of_first = _mm512_loadu_si512(weights);
      const __m512i word_of_second = _mm512_loadu_si512(second_weights);
      for (int p = 0; p < kPixels; ++p) {
        const __m512i low = BroadcastWord(digits[p] + 16 * unit);
        const __m512i high = BroadcastWord(digits[p] + 16 * unit + 8);
        first[p].Add(low, high, word_of_first);
        second[p].Add(low, high, word_of_second);
      }
      weights += kWordGroupBytes;
      second_weights += kWordGroupBytes;
    }
  }
  for (int p = 0; p < kPixels; ++p) {
    first[p].Store(sums + p * kOutputs);
    second[p].Store(sums + p * kOutputs + kWordGroup);
  }
}

// For 1 to kMost pixels.
template <int kMost, typename Sum>
void SumFewPixels(const uint8_t* const* pixels, int count, const Window& window, const uint8_t* weights,
                  Sum* sums) {
  if constexpr (kMost > 1) {
    if (count < kMost) return SumFewPixels<kMost - 1>(pixels, count, window, weights, sums);
  }
  SumTwoGroups<kMost>(pixels, window, weights, sums);
}

template <typename Sum>
void SumPixels(const uint8_t* const* pixels, int count, const Window& window, const uint8_t* weights,
               uint8_t*, Sum* sums) {
  for (int first = 0; first < kOutputs; first += 2 * kWordGroup) {
    for (int p = 0; p < count;) {
      const int turns = (count - p + kMostPixels - 1) / kMostPixels, turn = (count - p + turns - 1) / turns;
      SumFewPixels<kMostPixels>(pixels + p, turn, window, weights, sums + p * kOutputs + first);
      p += turn;
    }
    weights += static_cast<size_t>(window.total_units) * 2 * kWordGroupBytes;
  }
}

}  // namespace

const BinaryKernel kAvx512Vpopcnt = {
    "avx512_vpopcnt", Packing::kPlanes, false,     HasAvx512Vpopcnt, {500, 450, 500}, 18,
    WordWeightBytes,  PackWordWeights,  SumPixels, SumPixels,        nullptr};

}  // namespace lowbit
}  // namespace caffe
