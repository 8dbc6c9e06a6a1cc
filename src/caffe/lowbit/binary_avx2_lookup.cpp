// Sums by table look-up: four weights of an output are an index of 4 bits into the table of the 16 sums that
// four digits can have, and a byte shuffle looks up 32 outputs at once. A unit of four 2-bit digits has 256
// states, so that all tables there are fit into 4 KB. Compiled for AVX2.
#include <immintrin.h>

#include <cstring>

#include "caffe/lowbit/binary_kernels.hpp"
#include "caffe/lowbit/binary_weights.hpp"
#include "caffe/lowbit/cpu_features.hpp"
#include "caffe/lowbit/digit_tables.hpp"

namespace caffe {
namespace lowbit {

namespace {

constexpr int kOutputs = BinaryKernel::kOutputs;
// A sum of four digits is at most 12, so that a byte holds this many of them.
constexpr int kUnitsOfByteSum = 255 / 12;

// In each half of the lanes the one whose sums, the even lanes widened before the odd ones, come out in the
// outputs' order.
int LaneOfOutput(int output) {
  const int half = output / 32 * 32, in_half = output % 32;
  return half + (in_half < 16 ? 2 * in_half : 2 * (in_half - 16) + 1);
}

void PackWeights(const uint8_t* bits, const Window& window, uint8_t* weights) {
  PackHalfByteWeights(bits, window, LaneOfOutput, weights);
}

// Adds the 32 byte sums of `bytes` to 32 sums of 16 bits.
template <bool kFirst>
inline void Widen(__m256i bytes, uint16_t* sums) {
  const __m256i even = _mm256_and_si256(bytes, _mm256_set1_epi16(0x00ff));
  const __m256i odd = _mm256_srli_epi16(bytes, 8);
  __m256i* out = reinterpret_cast<__m256i*>(sums);
  _mm256_storeu_si256(out, kFirst ? even : _mm256_add_epi16(_mm256_loadu_si256(out), even));
  _mm256_storeu_si256(out + 1, kFirst ? odd : _mm256_add_epi16(_mm256_loadu_si256(out + 1), odd));
}

// Byte sums of kPixels pixels, those of outputs 0 to 31 and 32 to 63, and how many units they may still take.
template <int kPixels>
struct ByteSums {
  __m256i low[kPixels];
  __m256i high[kPixels];

  void Clear() {
    for (int p = 0; p < kPixels; ++p) low[p] = high[p] = _mm256_setzero_si256();
  }

  inline void Add(const uint8_t* const* units, int count, const uint8_t* weights) {
    const __m256i nibble = _mm256_set1_epi8(0x0f);
    const uint16_t* offsets[kPixels];
    __m256i sums[2 * kPixels];
    for (int p = 0; p < kPixels; ++p) {
      offsets[p] = reinterpret_cast<const uint16_t*>(units[p]);
      sums[2 * p] = low[p];
      sums[2 * p + 1] = high[p];
    }
    for (int unit = 0; unit < count; ++unit) {
      const __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weights) + unit);
      const __m256i first = _mm256_and_si256(both, nibble);
      const __m256i second = _mm256_and_si256(_mm256_srli_epi16(both, 4), nibble);
      for (int p = 0; p < kPixels; ++p) {
        const __m256i table = _mm256_broadcastsi128_si256(
            _mm_load_si128(reinterpret_cast<const __m128i*>(&kDigitSums.sums[0][0] + offsets[p][unit])));
        sums[2 * p] = _mm256_add_epi8(sums[2 * p], _mm256_shuffle_epi8(table, first));
        sums[2 * p + 1] = _mm256_add_epi8(sums[2 * p + 1], _mm256_shuffle_epi8(table, second));
      }
    }
    for (int p = 0; p < kPixels; ++p) {
      low[p] = sums[2 * p];
      high[p] = sums[2 * p + 1];
    }
  }

  template <bool kFirst>
  void WidenInto(uint16_t* sums) {
    for (int p = 0; p < kPixels; ++p) {
      Widen<kFirst>(low[p], sums + p * kOutputs);
      Widen<kFirst>(high[p], sums + p * kOutputs + 32);
    }
    Clear();
  }
};

// Sums of kPixels pixels over the units [first, last) of a window.
template <int kPixels>
void SumUnits(const uint8_t* const* pixels, const Window& window, int first, int last, const uint8_t* weights,
              uint16_t* sums) {
  ByteSums<kPixels> bytes;
  bytes.Clear();
  int room = kUnitsOfByteSum;
  bool widened = false;
  int begin = 0;
  for (int piece = 0; piece < window.pieces; ++piece) {
    const int end = begin + window.units[piece];
    int unit = first > begin ? first : begin;
    const int stop = last < end ? last : end;
    while (unit < stop) {
      const int count = stop - unit < room ? stop - unit : room;
      const uint8_t* units[kPixels];
      for (int p = 0; p < kPixels; ++p) units[p] = pixels[p] + window.offsets[piece] + 2 * (unit - begin);
      bytes.Add(units, count, weights + static_cast<size_t>(unit) * 32);
      unit += count;
      room -= count;
      if (room > 0) continue;
      if (widened) {
        bytes.template WidenInto<false>(sums);
      } else {
        bytes.template WidenInto<true>(sums);
      }
      widened = true;
      room = kUnitsOfByteSum;
    }
    begin = end;
  }
  if (widened) {
    bytes.template WidenInto<false>(sums);
  } else {
    bytes.template WidenInto<true>(sums);
  }
}

void Sums16(const uint8_t* const* pixels, int count, const Window& window, const uint8_t* weights, uint8_t*,
            uint16_t* sums) {
  int p = 0;
  for (; p + 4 <= count; p += 4) {
    SumUnits<4>(pixels + p, window, 0, window.total_units, weights, sums + p * kOutputs);
  }
  for (; p + 2 <= count; p += 2) {
    SumUnits<2>(pixels + p, window, 0, window.total_units, weights, sums + p * kOutputs);
  }
  if (p < count) SumUnits<1>(pixels + p, window, 0, window.total_units, weights, sums + p * kOutputs);
}

void Sums32(const uint8_t* const* pixels, int count, const Window& window, const uint8_t* weights, uint8_t*,
            uint32_t* sums) {
  // 12 a unit: as many as 16 bits hold.
  constexpr int kUnits = 65535 / 12;
  for (int p = 0; p < count; ++p) {
    uint32_t* const out = sums + p * kOutputs;
    std::memset(out, 0, kOutputs * sizeof(*out));
    for (int first = 0; first < window.total_units; first += kUnits) {
      const int last = first + kUnits < window.total_units ? first + kUnits : window.total_units;
      uint16_t part[kOutputs];
      SumUnits<1>(pixels + p, window, first, last, weights, part);
      for (int output = 0; output < kOutputs; ++output) out[output] += part[output];
    }
  }
}

}  // namespace

const BinaryKernel kAvx2Lookup = {
    "avx2_lookup",       Packing::kOffsets, false,  HasAvx2, {480, 250, 480}, 16,
    HalfByteWeightBytes, PackWeights,       Sums16, Sums32,  nullptr};

}  // namespace lowbit
}  // namespace caffe
