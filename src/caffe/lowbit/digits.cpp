#include "caffe/lowbit/digits.hpp"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <algorithm>
#include <cstring>

#include "caffe/lowbit/bit_bytes.hpp"
#include "caffe/lowbit/cpu_features.hpp"
#include "caffe/lowbit/digits_avx512_vbmi.hpp"
#include "caffe/util/target_clones.hpp"

namespace caffe {
namespace lowbit {

namespace {

// The sum of digits that are at most 15.
#ifdef __SSE2__
int32_t Sum(const uint8_t* digits, int channels) {
  __m128i sums = _mm_setzero_si128();
  int c = 0;
  for (; c + 16 <= channels; c += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(digits + c));
    sums = _mm_add_epi64(sums, _mm_sad_epu8(bytes, _mm_setzero_si128()));
  }
  int32_t sum = _mm_cvtsi128_si32(_mm_add_epi64(sums, _mm_unpackhi_epi64(sums, sums)));
  for (; c < channels; ++c) sum += digits[c];
  return sum;
}
#else
// A word's bytes hold the sums of 16 of them; the topmost of its four parts of 16 bits then gets the sum of
// all.
int32_t Sum(const uint8_t* digits, int channels) {
  constexpr int kMost = 16 * 8;
  constexpr uint64_t kEvenBytes = 0x00ff00ff00ff00ffu;
  int32_t sum = 0;
  int c = 0;
  while (c + 8 <= channels) {
    const int end = c + std::min(kMost, (channels - c) / 8 * 8);
    uint64_t bytes = 0;
    for (; c < end; c += 8) {
      uint64_t word;
      std::memcpy(&word, digits + c, sizeof(word));
      bytes += word;
    }
    const uint64_t parts = (bytes & kEvenBytes) + (bytes >> 8 & kEvenBytes);
    sum += static_cast<int32_t>(parts * 0x0001000100010001u >> 48);
  }
  for (; c < channels; ++c) sum += digits[c];
  return sum;
}
#endif

// Four digits d0 to d3 of 2 bits, bytes of a word, as 16 (d0 + 4 d1 + 16 d2 + 64 d3): the product has them,
// shifted and added, in its highest byte, and no carry reaches that.
inline uint16_t Offset(uint32_t digits) { return static_cast<uint16_t>((digits * 0x01041040u) >> 24 << 4); }

CAFFE_TARGET_CLONES void PackOffsets(const uint8_t* digits, int units, uint16_t* packed) {
  for (int unit = 0; unit < units; ++unit) {
    uint32_t word;
    std::memcpy(&word, digits + 4 * unit, 4);
    packed[unit] = Offset(word);
  }
}

// What `channels` digits give in Packing::kSixes.
void PackSixes(const uint8_t* digits, int channels, uint8_t* packed) {
  for (int c = 0; c < channels; c += 6, packed += 4) {
    uint8_t six[8] = {};
    std::memcpy(six, digits + c, std::min(6, channels - c));
    uint16_t unit[2];
    for (int i = 0; i < 2; ++i) {
      const uint8_t* const three = six + 3 * i;
      unit[i] = static_cast<uint16_t>(64 * (three[0] + 4 * three[1] + 16 * three[2]));
    }
    std::memcpy(packed, unit, sizeof(unit));
  }
}

void PackPlanes(const uint8_t* digits, int units, uint8_t* packed) {
  for (int unit = 0; unit < units; ++unit) {
    uint64_t planes[2] = {0, 0};
    for (int eight = 0; eight < 8; ++eight) {
      uint64_t bytes;
      std::memcpy(&bytes, digits + 64 * unit + 8 * eight, 8);
      for (int bit = 0; bit < 2; ++bit) planes[bit] |= uint64_t{GatherBits(bytes >> bit)} << 8 * eight;
    }
    std::memcpy(packed + sizeof(planes) * unit, planes, sizeof(planes));
  }
}

// Of whole units, but in Packing::kSixes; returns the sum.
int32_t PackUnits(Packing packing, const uint8_t* digits, int channels, uint8_t* packed) {
  switch (packing) {
    case Packing::kBytes:
      std::memcpy(packed, digits, channels);
      break;
    case Packing::kOffsets:
      PackOffsets(digits, channels / 4, reinterpret_cast<uint16_t*>(packed));
      break;
    case Packing::kSixes:
      PackSixes(digits, channels, packed);
      break;
    case Packing::kPlanes:
      PackPlanes(digits, channels / 64, packed);
      break;
  }
  return Sum(digits, channels);
}

// What the digits of a pixel's codes give, and their sum.
int32_t PackPixel(Packing packing, const uint8_t* codes, int channels, const DigitPlane& plane, bool identity,
                  uint8_t* packed) {
  const int unit_channels = ChannelsOfUnit(packing);
  if (identity && (channels % unit_channels == 0 || packing == Packing::kSixes)) {
    return PackUnits(packing, codes, channels, packed);
  }
  // In pieces of whole units, with zeros behind the last channel.
  constexpr int kPiece = 192;
  int32_t sum = 0;
  for (int begin = 0; begin < channels; begin += kPiece) {
    const int count = std::min(kPiece, channels - begin);
    uint8_t digits[kPiece] = {};
    for (int c = 0; c < count; ++c) digits[c] = plane.digits[codes[begin + c] % kMaxLevels];
    const int units = (count + unit_channels - 1) / unit_channels;
    sum += PackUnits(packing, digits, units * unit_channels, packed);
    packed += units * BytesOfUnit(packing);
  }
  return sum;
}

// Codes that are their digits, a byte each.
void CopyBytes(const PixelRow& row, int channels) {
  const bool in_one_piece = row.code_step == channels && row.packed_step == channels;
  if (in_one_piece) {
    std::memcpy(row.packed, row.codes, int64_t{channels} * row.pixels);
    if (!row.sums) return;
  }
  for (int p = 0; p < row.pixels; ++p) {
    const uint8_t* const codes = row.codes + p * row.code_step;
    if (!in_one_piece) std::memcpy(row.packed + p * row.packed_step, codes, channels);
    if (row.sums) row.sums[p * row.sum_step] = Sum(codes, channels);
  }
}

}  // namespace

bool DigitPlane::IsIdentity(int levels) const {
  for (int code = 0; code < levels; ++code) {
    if (digits[code] != code) return false;
  }
  return true;
}

std::vector<DigitPlane> DecomposeLevels(const int32_t* levels, int count, int largest) {
  std::vector<DigitPlane> planes;
  bool uniform = true;
  for (int j = 0; j < count; ++j) uniform = uniform && levels[j] == j;
  if (uniform) {
    const int base = count - 1 <= largest ? kMaxLevels : 4;
    for (int weight = 1; weight < count; weight *= base) {
      DigitPlane plane = {{}, 0, weight};
      for (int j = 0; j < kMaxLevels; ++j) plane.digits[j] = static_cast<uint8_t>(j / weight % base);
      planes.push_back(plane);
    }
    return planes;
  }
  if (count == 2 && levels[0] == -levels[1]) return {{{0, 2}, 1, levels[1]}};
  for (int j = 0; j < count; ++j) {
    if (levels[j] == 0) continue;
    DigitPlane plane = {{}, 0, levels[j]};
    plane.digits[j] = 1;
    planes.push_back(plane);
  }
  return planes;
}

void PackDigits(Packing packing, const PixelRow& row, int channels, const DigitPlane& plane, bool identity) {
#ifdef __x86_64__
  if (packing == Packing::kSixes && identity && row.sums && HasAvx512Vbmi()) {
    return PackSixesAvx512(row, channels);
  }
#endif
  if (packing == Packing::kBytes && identity && channels % ChannelsOfUnit(packing) == 0) {
    return CopyBytes(row, channels);
  }
  for (int p = 0; p < row.pixels; ++p) {
    const int32_t sum = PackPixel(packing, row.codes + p * row.code_step, channels, plane, identity,
                                  row.packed + p * row.packed_step);
    if (row.sums) row.sums[p * row.sum_step] = sum;
  }
}

}  // namespace lowbit
}  // namespace caffe
