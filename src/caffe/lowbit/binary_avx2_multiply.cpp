// Sums by multiplying bytes: digits by 0 or -1. The weights of some units are expanded from bits to bytes in
// the first-level cache and then meet all pixels. Compiled for AVX2.
#include <immintrin.h>

#include <cstring>

#include "caffe/lowbit/binary_kernels.hpp"
#include "caffe/lowbit/binary_weights.hpp"
#include "caffe/lowbit/cpu_features.hpp"

namespace caffe {
namespace lowbit {

namespace {

constexpr int kOutputs = BinaryKernel::kOutputs;
// Units that are expanded at a time. Two digits are at most 254, so that 16 bits hold the sums of 129 units.
constexpr int kChunk = 64;
constexpr int kUnitBytes = 4 * kOutputs;
// Outputs that are summed at the same time, 8 in a register.
constexpr int kGroup = 16;

size_t ScratchBytes(int) { return kChunk * kUnitBytes; }

__m256i Load(const void* at) { return _mm256_loadu_si256(static_cast<const __m256i*>(at)); }
void Store(void* at, __m256i value) { _mm256_storeu_si256(static_cast<__m256i*>(at), value); }

__m256i BroadcastFour(const uint8_t* bytes) {
  int four;
  std::memcpy(&four, bytes, sizeof(four));
  return _mm256_set1_epi32(four);
}

// 32 bytes of 0 or -1 from 32 bits.
__m256i ExpandBits(const uint8_t* bits) {
  const __m256i byte_of_lane =
      _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
  const __m256i bit_of_lane = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201));
  const __m256i spread = _mm256_shuffle_epi8(BroadcastFour(bits), byte_of_lane);
  return _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit_of_lane), bit_of_lane);
}

// Expanded weights lie group after group, unit after unit.
void ExpandUnits(const uint8_t* weights, int total_units, int units, uint8_t* expanded) {
  for (int first = 0; first < kOutputs; first += kGroup) {
    const uint8_t* bits = weights + static_cast<size_t>(first / kQuadGroup) * total_units * kQuadGroupBytes +
                          first % kQuadGroup / 2;
    for (int unit = 0; unit < units; ++unit, bits += kQuadGroupBytes, expanded += 4 * kGroup) {
      Store(expanded, ExpandBits(bits));
      Store(expanded + 32, ExpandBits(bits + 4));
    }
  }
}

// Adds 16 sums, each of two halves that are neighbours.
void AddHalves(__m256i low, __m256i high, uint32_t* sums) {
  const __m256i one = _mm256_set1_epi16(1);
  Store(sums, _mm256_add_epi32(Load(sums), _mm256_madd_epi16(low, one)));
  Store(sums + 8, _mm256_add_epi32(Load(sums + 8), _mm256_madd_epi16(high, one)));
}

void AddHalves(__m256i low, __m256i high, uint16_t* sums) {
  const __m256i one = _mm256_set1_epi16(1);
  const __m256i packed = _mm256_packus_epi32(_mm256_madd_epi16(low, one), _mm256_madd_epi16(high, one));
  Store(sums, _mm256_add_epi16(Load(sums), _mm256_permute4x64_epi64(packed, 0xd8)));
}

// Adds the sums of kPixels pixels over units whose digits begin at `offset`.
template <int kPixels, typename Sum>
void AddUnits(const uint8_t* const* pixels, int offset, int units, const uint8_t* expanded, Sum* sums) {
  const uint8_t* digits[kPixels];
  for (int p = 0; p < kPixels; ++p) digits[p] = pixels[p] + offset;
  for (int first = 0; first < kOutputs; first += kGroup) {
    __m256i low[kPixels], high[kPixels];
    for (int p = 0; p < kPixels; ++p) low[p] = high[p] = _mm256_setzero_si256();
    for (int unit = 0; unit < units; ++unit, expanded += 4 * kGroup) {
      const __m256i weights_low = Load(expanded), weights_high = Load(expanded + 32);
      for (int p = 0; p < kPixels; ++p) {
        const __m256i four = BroadcastFour(digits[p] + 4 * unit);
        low[p] = _mm256_sub_epi16(low[p], _mm256_maddubs_epi16(four, weights_low));
        high[p] = _mm256_sub_epi16(high[p], _mm256_maddubs_epi16(four, weights_high));
      }
    }
    for (int p = 0; p < kPixels; ++p) AddHalves(low[p], high[p], sums + p * kOutputs + first);
  }
}

template <typename Sum>
void SumPixels(const uint8_t* const* pixels, int count, const Window& window, const uint8_t* weights,
               uint8_t* scratch, Sum* sums) {
  std::memset(sums, 0, sizeof(Sum) * kOutputs * count);
  for (int piece = 0; piece < window.pieces; ++piece) {
    for (int first = 0; first < window.units[piece]; first += kChunk) {
      const int left = window.units[piece] - first, units = left < kChunk ? left : kChunk;
      const int offset = window.offsets[piece] + 4 * first;
      ExpandUnits(weights, window.total_units, units, scratch);
      weights += units * kQuadGroupBytes;
      int p = 0;
      for (; p + 4 <= count; p += 4) AddUnits<4>(pixels + p, offset, units, scratch, sums + p * kOutputs);
      for (; p < count; ++p) AddUnits<1>(pixels + p, offset, units, scratch, sums + p * kOutputs);
    }
  }
}

}  // namespace

const BinaryKernel kAvx2Multiply = {
    "avx2_multiply", Packing::kBytes, false,     HasAvx2,   {130, 45, 130}, 16,
    QuadWeightBytes, PackQuadWeights, SumPixels, SumPixels, ScratchBytes};

}  // namespace lowbit
}  // namespace caffe
