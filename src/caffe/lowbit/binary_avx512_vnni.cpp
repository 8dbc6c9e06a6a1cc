// Sums by multiplying and adding four bytes at once: weights 0 or 1, expanded from bits in registers, by
// digits. Compiled for AVX-512 F, BW, DQ, VL and VNNI.
#include <cstring>

#include "caffe/lowbit/binary_kernels.hpp"
#include "caffe/lowbit/binary_weights.hpp"
#include "caffe/lowbit/cpu_features.hpp"
#include "caffe/lowbit/simd_avx512.hpp"

namespace caffe {
namespace lowbit {

namespace {

constexpr int kOutputs = BinaryKernel::kOutputs;
// As many as have the sums of a group of outputs and their addresses in registers.
constexpr int kMostPixels = 10;

__m512i ExpandBits(const uint8_t* weights) {
  uint64_t bits;
  std::memcpy(&bits, weights, sizeof(bits));
  return _mm512_maskz_mov_epi8(bits, _mm512_set1_epi8(1));
}

__m512i BroadcastFour(const uint8_t* digits) {
  int four;
  std::memcpy(&four, digits, sizeof(four));
  return _mm512_set1_epi32(four);
}

void StoreSums(__m512i first, __m512i second, uint32_t* sums) {
  _mm512_storeu_si512(sums, first);
  _mm512_storeu_si512(sums + 16, second);
}

void StoreSums(__m512i first, __m512i second, uint16_t* sums) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums), _mm512_cvtepi32_epi16(first));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + 16), _mm512_cvtepi32_epi16(second));
}

template <int kPixels, typename Sum>
void SumGroup(const uint8_t* const* pixels, const Window& window, const uint8_t* weights, Sum* out) {
  __m512i sums[kPixels][2];
  for (int p = 0; p < kPixels; ++p) sums[p][0] = sums[p][1] = _mm512_setzero_si512();
  for (int piece = 0; piece < window.pieces; ++piece) {
    const uint8_t* digits[kPixels];
    for (int p = 0; p < kPixels; ++p) digits[p] = pixels[p] + window.offsets[piece];
    const int units = window.units[piece];
    for (int unit = 0; unit < units; ++unit, weights += kQuadGroupBytes) {
      const __m512i first = ExpandBits(weights), second = ExpandBits(weights + 8);
      for (int p = 0; p < kPixels; ++p) {
        // Digits stay below 128, so that they may be the signed factor.
        const __m512i four = BroadcastFour(digits[p] + 4 * unit);
        sums[p][0] = _mm512_dpbusd_epi32(sums[p][0], first, four);
        sums[p][1] = _mm512_dpbusd_epi32(sums[p][1], second, four);
      }
    }
  }
  for (int p = 0; p < kPixels; ++p) StoreSums(sums[p][0], sums[p][1], out + p * kOutputs);
}

// For 1 to kMost pixels.
template <int kMost, typename Sum>
void SumFewPixels(const uint8_t* const* pixels, int count, const Window& window, const uint8_t* weights,
                  Sum* sums) {
  if constexpr (kMost > 1) {
    if (count < kMost) return SumFewPixels<kMost - 1>(pixels, count, window, weights, sums);
  }
  SumGroup<kMost>(pixels, window, weights, sums);
}

template <typename Sum>
void SumPixels(const uint8_t* const* pixels, int count, const Window& window, const uint8_t* weights,
               uint8_t*, Sum* sums) {
  for (int first = 0; first < kOutputs; first += kQuadGroup) {
    for (int p = 0; p < count;) {
      const int turns = (count - p + kMostPixels - 1) / kMostPixels, turn = (count - p + turns - 1) / turns;
      SumFewPixels<kMostPixels>(pixels + p, turn, window, weights, sums + p * kOutputs + first);
      p += turn;
    }
    weights += static_cast<size_t>(window.total_units) * kQuadGroupBytes;
  }
}

}  // namespace

const BinaryKernel kAvx512Vnni = {
    "avx512_vnni",   Packing::kBytes, false,     HasAvx512Vnni, {300, 70, 300}, 20,
    QuadWeightBytes, PackQuadWeights, SumPixels, SumPixels,     nullptr};

}  // namespace lowbit
}  // namespace caffe
