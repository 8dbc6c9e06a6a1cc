// Sums by counting bits, as binary_popcount.cpp, four outputs at a time: a byte shuffle looks up how many
// bits each half of a byte has. Compiled for AVX2.
#include <immintrin.h>

#include "caffe/lowbit/binary_kernels.hpp"
#include "caffe/lowbit/binary_weights.hpp"
#include "caffe/lowbit/cpu_features.hpp"

namespace caffe {
namespace lowbit {

namespace {

constexpr int kOutputs = BinaryKernel::kOutputs;
// A unit adds at most 3 times 8 to a byte.
constexpr int kUnitsOfByteCount = 255 / 24;

__m256i Load(const void* at) { return _mm256_loadu_si256(static_cast<const __m256i*>(at)); }

__m256i BroadcastWord(const uint8_t* at) {
  return _mm256_broadcastq_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at)));
}

// In every byte, what `table` says of its two halves.
__m256i LookUpHalves(__m256i bytes, __m256i table) {
  const __m256i half = _mm256_set1_epi8(0x0f);
  return _mm256_add_epi8(_mm256_shuffle_epi8(table, _mm256_and_si256(bytes, half)),
                         _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), half)));
}

// In every byte, the digits' sum under four outputs' weights.
__m256i CountDigits(__m256i low, __m256i high, __m256i weights) {
  const __m256i bits =
      _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
  const __m256i twice = _mm256_add_epi8(bits, bits);
  return _mm256_add_epi8(LookUpHalves(_mm256_and_si256(low, weights), bits),
                         LookUpHalves(_mm256_and_si256(high, weights), twice));
}

// Adds the sums of a group of outputs over at most kUnitsOfByteCount units of each of kPixels pixels.
template <int kPixels>
void AddUnits(const uint8_t* const* digits, int units, const uint8_t* weights, __m256i (*sums)[2]) {
  __m256i counts[kPixels][2];
  for (int p = 0; p < kPixels; ++p) counts[p][0] = counts[p][1] = _mm256_setzero_si256();
  for (int unit = 0; unit < units; ++unit, weights += kWordGroupBytes) {
    const __m256i first = Load(weights), second = Load(weights + 32);
    for (int p = 0; p < kPixels; ++p) {
      const __m256i low = BroadcastWord(digits[p] + 16 * unit),
                    high = BroadcastWord(digits[p] + 16 * unit + 8);
      counts[p][0] = _mm256_add_epi8(counts[p][0], CountDigits(low, high, first));
      counts[p][1] = _mm256_add_epi8(counts[p][1], CountDigits(low, high, second));
    }
  }
  for (int p = 0; p < kPixels; ++p) {
    for (int i = 0; i < 2; ++i) {
      sums[p][i] = _mm256_add_epi64(sums[p][i], _mm256_sad_epu8(counts[p][i], _mm256_setzero_si256()));
    }
  }
}

template <int kPixels, typename Sum>
void SumGroup(const uint8_t* const* pixels, const Window& window, const uint8_t* weights, Sum* out) {
  __m256i sums[kPixels][2];
  for (int p = 0; p < kPixels; ++p) sums[p][0] = sums[p][1] = _mm256_setzero_si256();
  for (int piece = 0; piece < window.pieces; ++piece) {
    const uint8_t* digits[kPixels];
    for (int p = 0; p < kPixels; ++p) digits[p] = pixels[p] + window.offsets[piece];
    for (int left = window.units[piece]; left > 0; left -= kUnitsOfByteCount) {
      const int units = left < kUnitsOfByteCount ? left : kUnitsOfByteCount;
      AddUnits<kPixels>(digits, units, weights, sums);
      weights += units * kWordGroupBytes;
      for (int p = 0; p < kPixels; ++p) digits[p] += units * 16;
    }
  }
  for (int p = 0; p < kPixels; ++p) {
    alignas(32) uint64_t words[kWordGroup];
    _mm256_store_si256(reinterpret_cast<__m256i*>(words), sums[p][0]);
    _mm256_store_si256(reinterpret_cast<__m256i*>(words) + 1, sums[p][1]);
    for (int o = 0; o < kWordGroup; ++o) out[p * kOutputs + o] = static_cast<Sum>(words[o]);
  }
}

template <typename Sum>
void SumPixels(const uint8_t* const* pixels, int count, const Window& window, const uint8_t* weights,
               uint8_t*, Sum* sums) {
  for (int first = 0; first < kOutputs; first += kWordGroup) {
    int p = 0;
    for (; p + 2 <= count; p += 2) SumGroup<2>(pixels + p, window, weights, sums + p * kOutputs + first);
    if (p < count) SumGroup<1>(pixels + p, window, weights, sums + p * kOutputs + first);
    weights += static_cast<size_t>(window.total_units) * kWordGroupBytes;
  }
}

}  // namespace

const BinaryKernel kAvx2Popcount = {
    "avx2_popcount", Packing::kPlanes, false,     HasAvx2,   {160, 150, 160}, 16,
    WordWeightBytes, PackWordWeights,  SumPixels, SumPixels, nullptr};

}  // namespace lowbit
}  // namespace caffe
