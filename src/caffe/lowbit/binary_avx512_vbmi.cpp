// Sums by table look-up, as binary_avx512_lookup.cpp, in tables of 64 sums: of six digits under every choice
// of six weights. A table is put together of two smaller ones, which costs as much as a look-up. It pays
// where windows overlap: pixels beside one another look into the table of a place under different weights.
// Compiled for AVX-512 F, BW, DQ, VL and VBMI.
#include <cstring>

#include "caffe/lowbit/binary_kernels.hpp"
#include "caffe/lowbit/cpu_features.hpp"
#include "caffe/lowbit/digit_tables.hpp"
#include "caffe/lowbit/simd_avx512.hpp"

namespace caffe {
namespace lowbit {

namespace {

constexpr int kOutputs = BinaryKernel::kOutputs;
constexpr int kUnitChannels = ChannelsOfUnit(Packing::kSixes), kUnitBytes = BytesOfUnit(Packing::kSixes);
// Look-ups, of at most 18 each, that fit into sums of 8 bits, and such sums that fit into one of 16 bits.
constexpr int kLookupsOfByteSum = 255 / (3 * kUnitChannels), kByteSumsOfSum16 = 65535 / 255;
// As many as have their sums in registers.
constexpr int kMostPixels = 8;
// Weights of four units are three vectors.
constexpr int kQuad = 4, kQuadVectors = 3, kVectorBytes = 64;

int Min(int a, int b) { return a < b ? a : b; }

// A window as this kernel sees it: rows of equal columns, which pixels beside one another share; or each
// piece as a row of one column.
class Rows {
 public:
  explicit Rows(const Window& window)
      : window_(window), shared_(window.columns == 3 || window.columns == 5) {}

  int columns() const { return shared_ ? window_.columns : 1; }
  int32_t column_bytes() const { return window_.column_bytes; }
  int count() const { return shared_ ? window_.rows : window_.pieces; }
  int32_t offset(int row) const { return shared_ ? window_.row_offsets[row] : window_.offsets[row]; }
  /// Of a column.
  int units(int row) const { return shared_ ? window_.column_units : window_.units[row]; }

 private:
  const Window& window_;
  const bool shared_;
};

// Weights are row by row; in a row quad by quad of a column's units, and then the units that are left; in a
// quad vector by vector; and of each vector those of all columns. A vector has a byte for each output, whose
// low six bits are the weights of a unit. The fourth unit of a quad has its weights in the high bits of the
// three vectors, two in each.
int VectorsOfColumn(int units) { return units / kQuad * kQuadVectors + units % kQuad; }

size_t WeightBytes(const Window& window) {
  const Rows rows(window);
  size_t vectors = 0;
  for (int row = 0; row < rows.count(); ++row) vectors += VectorsOfColumn(rows.units(row)) * rows.columns();
  return vectors * kVectorBytes;
}

// The lane of 64 bytes whose sums, the even lanes taken before the odd ones, come out in the outputs' order.
int LaneOfOutput(int output) { return output < 32 ? 2 * output : 2 * (output - 32) + 1; }

// Four bytes of 0 or 1 as bits.
int FourBits(uint32_t bytes) { return static_cast<int>(bytes * 0x10204080u >> 28); }

void PutWeights(int unit, const uint8_t* bits, int columns, uint8_t* lane) {
  uint32_t four;
  std::memcpy(&four, bits, sizeof(four));
  const int index = FourBits(four) | bits[4] << 4 | bits[5] << 5;
  const int stride = columns * kVectorBytes, in_quad = unit % kQuad;
  lane += unit / kQuad * kQuadVectors * stride;
  if (in_quad < kQuadVectors) {
    lane[in_quad * stride] = static_cast<uint8_t>(lane[in_quad * stride] | index);
    return;
  }
  for (int v = 0; v < kQuadVectors; ++v, lane += stride) {
    *lane = static_cast<uint8_t>(*lane | (index >> 2 * v & 3) << kUnitChannels);
  }
}

void PackWeights(const uint8_t* bits, const Window& window, uint8_t* weights) {
  const Rows rows(window);
  const int columns = rows.columns();
  std::memset(weights, 0, WeightBytes(window));
  for (int output = 0; output < kOutputs; ++output) {
    uint8_t* lane = weights + LaneOfOutput(output);
    for (int row = 0; row < rows.count(); ++row) {
      const int units = rows.units(row);
      for (int column = 0; column < columns; ++column) {
        for (int unit = 0; unit < units; ++unit, bits += kUnitChannels) {
          PutWeights(unit, bits, columns, lane + column * kVectorBytes);
        }
      }
      lane += VectorsOfColumn(units) * columns * kVectorBytes;
    }
  }
}

// All sums of a unit's digits, by the weights.
__m512i TableOfUnit(const uint8_t* unit) {
  uint16_t four, two;
  std::memcpy(&four, unit, sizeof(four));
  std::memcpy(&two, unit + sizeof(four), sizeof(two));
  const uint8_t* const of_four = &kDigitSums.sums[0][0] + four;
  const uint8_t* const of_two = &kPairSums.sums[0][0] + two;
  return _mm512_add_epi8(_mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(of_four))),
                         _mm512_loadu_si512(of_two));
}

// The sums of pixels: of 8 bits, and of the even and the odd lanes' in 16 bits. The even ones have the odd
// lanes' sums of 8 bits in their high halves, too, which are taken off at the end.
template <int kPixels>
struct Totals {
  __m512i bytes[kPixels], even[kPixels], odd[kPixels];

  void Clear() {
    for (int p = 0; p < kPixels; ++p) bytes[p] = even[p] = odd[p] = _mm512_setzero_si512();
  }

  void Widen() {
    for (int p = 0; p < kPixels; ++p) {
      even[p] = _mm512_add_epi16(even[p], bytes[p]);
      odd[p] = _mm512_add_epi16(odd[p], _mm512_srli_epi16(bytes[p], 8));
      bytes[p] = _mm512_setzero_si512();
    }
  }

  void Store(uint16_t* sums) const {
    for (int p = 0; p < kPixels; ++p) {
      _mm512_storeu_si512(sums + p * kOutputs, _mm512_sub_epi16(even[p], _mm512_slli_epi16(odd[p], 8)));
      _mm512_storeu_si512(sums + p * kOutputs + 32, odd[p]);
    }
  }

  void AddTo(uint32_t* sums) const {
    uint16_t parts[kPixels * kOutputs];
    Store(parts);
    for (int i = 0; i < kPixels * kOutputs; ++i) sums[i] += parts[i];
  }
};

// Adds a unit of every column that the pixels have.
template <int kPixels, int kColumns>
inline void AddUnit(const uint8_t* digits, int64_t column_bytes, const __m512i* weights,
                    Totals<kPixels>* totals) {
#pragma GCC unroll 12
  for (int place = 0; place < kPixels + kColumns - 1; ++place) {
    const __m512i table = TableOfUnit(digits + place * column_bytes);
#pragma GCC unroll 5
    for (int column = 0; column < kColumns; ++column) {
      const int p = place - column;
      if (p < 0 || p >= kPixels) continue;
      totals->bytes[p] = _mm512_add_epi8(totals->bytes[p], _mm512_permutexvar_epi8(weights[column], table));
    }
  }
}

// What the high bits of a quad's vectors have: the weights of its fourth unit.
template <int kColumns>
inline void UnpackFourth(const uint8_t* quad, __m512i* weights) {
  const __m512i low_two = _mm512_set1_epi8(0x03), low_four = _mm512_set1_epi8(0x0f);
  constexpr int kWhereSet = 0xca;  // the second where the first is set, the third elsewhere
  for (int column = 0; column < kColumns; ++column, quad += kVectorBytes) {
    const __m512i a = _mm512_srli_epi16(_mm512_loadu_si512(quad), 6);
    const __m512i b = _mm512_srli_epi16(_mm512_loadu_si512(quad + kColumns * kVectorBytes), 4);
    const __m512i c = _mm512_srli_epi16(_mm512_loadu_si512(quad + 2 * kColumns * kVectorBytes), 2);
    weights[column] = _mm512_ternarylogic_epi64(low_four, _mm512_ternarylogic_epi64(low_two, a, b, kWhereSet),
                                                c, kWhereSet);
  }
}

// The sums of kPixels pixels, a column's width apart.
template <int kPixels, int kColumns, typename Sum>
void SumPixels(const uint8_t* pixel, const Rows& rows, const uint8_t* weights, Sum* sums) {
  Totals<kPixels> totals;
  totals.Clear();
  const int64_t column_bytes = rows.column_bytes();
  int byte_sums = kByteSumsOfSum16;
  for (int row = 0; row < rows.count(); ++row) {
    const uint8_t* digits = pixel + rows.offset(row);
    for (int left = rows.units(row); left > 0; left -= kQuad) {
      __m512i of_unit[kColumns];
      int lookups = 0;
#pragma GCC unroll 4
      for (int unit = 0; unit < kQuad; ++unit) {
        if (unit >= left) break;
        if (unit < kQuadVectors) {
          for (int column = 0; column < kColumns; ++column) {
            of_unit[column] = _mm512_loadu_si512(weights + (unit * kColumns + column) * kVectorBytes);
          }
        } else {
          UnpackFourth<kColumns>(weights, of_unit);
        }
        // Only a constant once this loop is unrolled.
        if ((lookups += kColumns) > kLookupsOfByteSum) {
          totals.Widen();
          --byte_sums;
          lookups = kColumns;
        }
        AddUnit<kPixels, kColumns>(digits + unit * kUnitBytes, column_bytes, of_unit, &totals);
      }
      totals.Widen();
      digits += kQuad * kUnitBytes;
      weights += kColumns * VectorsOfColumn(Min(left, kQuad)) * kVectorBytes;
      // A quad has at most one byte sum more.
      if (sizeof(Sum) == sizeof(uint16_t) || --byte_sums > 1) continue;
      if constexpr (sizeof(Sum) == sizeof(uint32_t)) totals.AddTo(sums);
      totals.Clear();
      byte_sums = kByteSumsOfSum16;
    }
  }
  if constexpr (sizeof(Sum) == sizeof(uint16_t)) {
    totals.Store(sums);
  } else {
    totals.AddTo(sums);
  }
}

// For 1 to kMost pixels.
template <int kMost, int kColumns, typename Sum>
void SumFewPixels(const uint8_t* pixel, int count, const Rows& rows, const uint8_t* weights, Sum* sums) {
  if constexpr (kMost > 1) {
    if (count < kMost) return SumFewPixels<kMost - 1, kColumns>(pixel, count, rows, weights, sums);
  }
  SumPixels<kMost, kColumns>(pixel, rows, weights, sums);
}

// How many of the pixels follow the first at a column's distance: they share columns with it.
int PixelsInLine(const uint8_t* const* pixels, int count, int32_t column_bytes) {
  int line = 1;
  while (line < count && pixels[line] - pixels[line - 1] == column_bytes) ++line;
  return line;
}

template <typename Sum>
void SumAll(const uint8_t* const* pixels, int count, const Window& window, const uint8_t* weights, uint8_t*,
            Sum* sums) {
  const Rows rows(window);
  while (count > 0) {
    if (rows.columns() == 1) {
      SumPixels<1, 1>(*pixels++, rows, weights, sums);
      --count;
      sums += kOutputs;
      continue;
    }
    const int line = PixelsInLine(pixels, count, rows.column_bytes());
    // In turns that are about equal.
    for (int p = 0; p < line;) {
      const int turns = (line - p + kMostPixels - 1) / kMostPixels, turn = (line - p + turns - 1) / turns;
      if (rows.columns() == 3) {
        SumFewPixels<kMostPixels, 3>(pixels[p], turn, rows, weights, sums);
      } else {
        SumFewPixels<kMostPixels, 5>(pixels[p], turn, rows, weights, sums);
      }
      p += turn;
      sums += turn * kOutputs;
    }
    pixels += line;
    count -= line;
  }
}

void Sums16(const uint8_t* const* pixels, int count, const Window& window, const uint8_t* weights,
            uint8_t* scratch, uint16_t* sums) {
  SumAll(pixels, count, window, weights, scratch, sums);
}

void Sums32(const uint8_t* const* pixels, int count, const Window& window, const uint8_t* weights,
            uint8_t* scratch, uint32_t* sums) {
  std::memset(sums, 0, sizeof(*sums) * kOutputs * count);
  SumAll(pixels, count, window, weights, scratch, sums);
}

}  // namespace

const BinaryKernel kAvx512Vbmi = {"avx512_vbmi", Packing::kSixes, HasAvx512Vbmi, {200, 200, 700}, 56,
                                  WeightBytes,   PackWeights,     Sums16,        Sums32,          nullptr};

}  // namespace lowbit
}  // namespace caffe
