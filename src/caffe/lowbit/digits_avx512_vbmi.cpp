// Compiled for AVX-512 F, BW, DQ, VL and VBMI.
#include "caffe/lowbit/digits_avx512_vbmi.hpp"

#include "caffe/lowbit/simd_avx512.hpp"

namespace caffe {
namespace lowbit {

namespace {

// Units that a vector has, and their channels and bytes.
constexpr int kUnits = 8, kChannels = 6 * kUnits, kBytes = 4 * kUnits;

}  // namespace

int32_t PackSixesAvx512(const uint8_t* digits, int channels, uint8_t* packed) {
  // Three digits of a unit go to the first bytes of four. There is a zero behind the last channel.
  alignas(64) uint8_t places[64];
  for (int i = 0; i < 64; ++i) places[i] = static_cast<uint8_t>(i % 4 < 3 ? i / 4 * 3 + i % 4 : 63);
  const __m512i spread = _mm512_loadu_si512(places);
  const __m512i digits_of_4 = _mm512_set1_epi32(0x00100401);  // d0 + 4 d1, 16 d2
  const __m512i offsets = _mm512_set1_epi16(64);
  __m512i sums = _mm512_setzero_si512();
  for (int c = 0; c < channels; c += kChannels, packed += kBytes) {
    const int count = channels - c < kChannels ? channels - c : kChannels;
    const __m512i values = _mm512_maskz_loadu_epi8((uint64_t{1} << count) - 1, digits + c);
    sums = _mm512_add_epi64(sums, _mm512_sad_epu8(values, _mm512_setzero_si512()));
    const __m512i units = _mm512_madd_epi16(
        _mm512_maddubs_epi16(_mm512_permutexvar_epi8(spread, values), digits_of_4), offsets);
    _mm256_mask_storeu_epi32(packed, static_cast<__mmask8>((1 << (count + 5) / 6) - 1),
                             _mm512_cvtepi32_epi16(units));
  }
  return static_cast<int32_t>(_mm512_reduce_add_epi64(sums));
}

}  // namespace lowbit
}  // namespace caffe
