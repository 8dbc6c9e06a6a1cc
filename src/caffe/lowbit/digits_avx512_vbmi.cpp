// Compiled for AVX-512 F, BW, DQ, VL and VBMI.
#include "caffe/lowbit/digits_avx512_vbmi.hpp"

#include "caffe/lowbit/simd_avx512.hpp"

namespace caffe {
namespace lowbit {

namespace {

// Units that a vector has, and their channels and bytes.
constexpr int kUnits = 8, kChannels = 6 * kUnits, kBytes = 4 * kUnits;

struct Constants {
  // Three digits of a unit go to the first bytes of four. There is a zero behind the last channel.
  Constants() {
    alignas(64) uint8_t places[64];
    for (int i = 0; i < 64; ++i) places[i] = static_cast<uint8_t>(i % 4 < 3 ? i / 4 * 3 + i % 4 : 63);
    spread = _mm512_loadu_si512(places);
  }

  __m512i spread;
  __m512i digits_of_4 = _mm512_set1_epi32(0x00100401);  // d0 + 4 d1, 16 d2
  __m512i offsets = _mm512_set1_epi16(64);
};

inline __m256i UnitsOf(const Constants& constants, __m512i digits) {
  const __m512i triples =
      _mm512_maddubs_epi16(_mm512_permutexvar_epi8(constants.spread, digits), constants.digits_of_4);
  return _mm512_cvtepi32_epi16(_mm512_madd_epi16(triples, constants.offsets));
}

}  // namespace

void PackSixesAvx512(const PixelRow& row, int channels) {
  const Constants constants;
  const int last = (channels - 1) / kChannels * kChannels;
  const __mmask64 whole_digits = (uint64_t{1} << kChannels) - 1;
  const __mmask64 last_digits = (uint64_t{1} << (channels - last)) - 1;
  const int last_units = (channels - last + 5) / 6;
  // What a whole vector has beyond a pixel's end, the next pixel writes over. A store of a part takes longer.
  const bool may_exceed = row.packed_step == last / kChannels * kBytes + 4 * last_units;
  const int whole_stores = may_exceed ? row.pixels - (kUnits - 1) / last_units : 0;
  for (int p = 0; p < row.pixels; ++p) {
    const uint8_t* const codes = row.codes + p * row.code_step;
    uint8_t* packed = row.packed + p * row.packed_step;
    __m512i sums = _mm512_setzero_si512();
    for (int c = 0; c < last; c += kChannels, packed += kBytes) {
      const __m512i digits = _mm512_maskz_loadu_epi8(whole_digits, codes + c);
      sums = _mm512_add_epi64(sums, _mm512_sad_epu8(digits, _mm512_setzero_si512()));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(packed), UnitsOf(constants, digits));
    }
    const __m512i digits = _mm512_maskz_loadu_epi8(last_digits, codes + last);
    sums = _mm512_add_epi64(sums, _mm512_sad_epu8(digits, _mm512_setzero_si512()));
    const __m256i units = UnitsOf(constants, digits);
    if (p < whole_stores) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(packed), units);
    } else {
      _mm256_mask_storeu_epi32(packed, static_cast<__mmask8>((1 << last_units) - 1), units);
    }
    row.sums[p * row.sum_step] = static_cast<int32_t>(_mm512_reduce_add_epi64(sums));
  }
}

}  // namespace lowbit
}  // namespace caffe
