// Sums by table look-up, as binary_avx2_lookup.cpp, all 64 outputs at once. Compiled for AVX-512 F, BW, DQ,
// VL.
#include <cstring>

#include "caffe/lowbit/binary_kernels.hpp"
#include "caffe/lowbit/binary_weights.hpp"
#include "caffe/lowbit/cpu_features.hpp"
#include "caffe/lowbit/digit_tables.hpp"
#include "caffe/lowbit/simd_avx512.hpp"

namespace caffe {
namespace lowbit {

namespace {

constexpr int kOutputs = BinaryKernel::kOutputs;
// What a unit adds at most, and how many units fit into sums of 8 and 16 bits.
constexpr int kLargestSum = 12;
constexpr int kUnitsOfByteSum = 255 / kLargestSum, kUnitsOfSum16 = 65535 / kLargestSum;
// As many as have their sums in registers.
constexpr int kMostPixels = 8;

int Min(int a, int b) { return a < b ? a : b; }

// The lane of 64 bytes whose sums, the even lanes taken before the odd ones, come out in the outputs' order.
int LaneOfOutput(int output) { return output < 32 ? 2 * output : 2 * (output - 32) + 1; }

void PackWeights(const uint8_t* bits, const Window& window, uint8_t* weights) {
  PackHalfByteWeights(bits, window, LaneOfOutput, weights);
}

__m512i ExpandWeights(const uint8_t* weights) {
  const __m512i shifts = _mm512_setr_epi64(0, 0, 0, 0, 4, 4, 4, 4);
  const __m512i both = _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(weights)));
  return _mm512_and_si512(_mm512_srlv_epi64(both, shifts), _mm512_set1_epi8(0x0f));
}

__m512i TableOfUnit(const uint8_t* unit) {
  uint16_t offset;
  std::memcpy(&offset, unit, sizeof(offset));
  const uint8_t* const table = &kDigitSums.sums[0][0] + offset;
  return _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(table)));
}

// Sums of kPixels pixels over the units [begin, end) of a window, at most kUnitsOfSum16.
template <int kPixels>
void SumUnits(const uint8_t* const* pixels, const Window& window, int begin, int end, const uint8_t* weights,
              uint16_t* sums) {
  const __m512i low_byte = _mm512_set1_epi16(0x00ff);
  __m512i bytes[kPixels], even[kPixels], odd[kPixels];
  for (int p = 0; p < kPixels; ++p) bytes[p] = even[p] = odd[p] = _mm512_setzero_si512();
  weights += static_cast<size_t>(begin) * kHalfByteUnitBytes;
  int room = kUnitsOfByteSum;
  int first_of_piece = 0;
  for (int piece = 0; piece < window.pieces && first_of_piece < end; ++piece) {
    const int stop = Min(first_of_piece + window.units[piece], end);
    while (begin < stop) {
      const int units = Min(stop - begin, room);
      const uint8_t* digits[kPixels];
      for (int p = 0; p < kPixels; ++p) {
        digits[p] = pixels[p] + window.offsets[piece] + 2 * (begin - first_of_piece);
      }
      for (int unit = 0; unit < units; ++unit, weights += kHalfByteUnitBytes) {
        const __m512i index = ExpandWeights(weights);
        for (int p = 0; p < kPixels; ++p) {
          const __m512i table = TableOfUnit(digits[p] + 2 * unit);
          bytes[p] = _mm512_add_epi8(bytes[p], _mm512_shuffle_epi8(table, index));
        }
      }
      begin += units;
      room -= units;
      if (room > 0 && begin < end) continue;
      for (int p = 0; p < kPixels; ++p) {
        even[p] = _mm512_add_epi16(even[p], _mm512_and_si512(bytes[p], low_byte));
        odd[p] = _mm512_add_epi16(odd[p], _mm512_srli_epi16(bytes[p], 8));
        bytes[p] = _mm512_setzero_si512();
      }
      room = kUnitsOfByteSum;
    }
    first_of_piece += window.units[piece];
  }
  for (int p = 0; p < kPixels; ++p) {
    _mm512_storeu_si512(sums + p * kOutputs, even[p]);
    _mm512_storeu_si512(sums + p * kOutputs + 32, odd[p]);
  }
}

// For 1 to kMost pixels.
template <int kMost>
void SumFewPixels(const uint8_t* const* pixels, int count, const Window& window, int begin, int end,
                  const uint8_t* weights, uint16_t* sums) {
  if constexpr (kMost > 1) {
    if (count < kMost) return SumFewPixels<kMost - 1>(pixels, count, window, begin, end, weights, sums);
  }
  SumUnits<kMost>(pixels, window, begin, end, weights, sums);
}

// How many of `count` pixels to take next, so that the turns are about equal.
int PixelsOfTurn(int count) {
  const int turns = (count + kMostPixels - 1) / kMostPixels;
  return (count + turns - 1) / turns;
}

void Sums16(const uint8_t* const* pixels, int count, const Window& window, const uint8_t* weights, uint8_t*,
            uint16_t* sums) {
  while (count > 0) {
    const int turn = PixelsOfTurn(count);
    SumFewPixels<kMostPixels>(pixels, turn, window, 0, window.total_units, weights, sums);
    pixels += turn;
    count -= turn;
    sums += turn * kOutputs;
  }
}

void Sums32(const uint8_t* const* pixels, int count, const Window& window, const uint8_t* weights, uint8_t*,
            uint32_t* sums) {
  std::memset(sums, 0, sizeof(*sums) * kOutputs * count);
  while (count > 0) {
    const int turn = PixelsOfTurn(count);
    for (int begin = 0; begin < window.total_units; begin += kUnitsOfSum16) {
      const int end = Min(begin + kUnitsOfSum16, window.total_units);
      uint16_t part[kMostPixels * kOutputs];
      SumFewPixels<kMostPixels>(pixels, turn, window, begin, end, weights, part);
      for (int i = 0; i < turn * kOutputs; ++i) sums[i] += part[i];
    }
    pixels += turn;
    count -= turn;
    sums += turn * kOutputs;
  }
}

}  // namespace

const BinaryKernel kAvx512Lookup = {
    "avx512_lookup",     Packing::kOffsets, false,  HasAvx512, {590, 290, 590}, 16,
    HalfByteWeightBytes, PackWeights,       Sums16, Sums32,    nullptr};

}  // namespace lowbit
}  // namespace caffe
