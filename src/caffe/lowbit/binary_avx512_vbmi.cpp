// Sums by table look-up, as binary_avx512_lookup.cpp, in tables of 64 sums: of six digits under every choice
// of six weights. A table is put together of two smaller ones. Where windows overlap, pixels beside one
// another look into the table of a place under different weights.
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
  uint32_t both;
  std::memcpy(&both, unit, sizeof(both));
  const uint32_t low = both & 0xffff, high = both >> 16;
  return _mm512_add_epi8(_mm512_loadu_si512(&kTripleSums.low[0][0] + low),
                         _mm512_loadu_si512(&kTripleSums.high[0][0] + high));
}

// Adds to two sums what their weights have in their tables.
//
// AMD's processors give instructions to the pipes that can do them as they come: of two look-ups and two
// additions, 512 bits in Zen 4's halves, each pipe gets two, while one of each by turns, as a compiler writes
// them, leaves look-ups to wait for additions for a fifth of the time.
inline void LookUpTwo(__m512i weights0, __m512i table0, __m512i weights1, __m512i table1, __m512i* sum0,
                      __m512i* sum1) {
#ifdef CAFFE_EMULATE_SIMD
  *sum0 = _mm512_add_epi8(*sum0, _mm512_permutexvar_epi8(weights0, table0));
  *sum1 = _mm512_add_epi8(*sum1, _mm512_permutexvar_epi8(weights1, table1));
#else
  __m512i found0, found1, added0 = *sum0, added1 = *sum1;
  asm("vpermb %[table0], %[weights0], %[found0]\n\t"
      "vpermb %[table1], %[weights1], %[found1]\n\t"
      "vpaddb %[found0], %[added0], %[added0]\n\t"
      "vpaddb %[found1], %[added1], %[added1]"
      : [found0] "=&v"(found0), [found1] "=&v"(found1), [added0] "+v"(added0), [added1] "+v"(added1)
      : [table0] "v"(table0), [weights0] "v"(weights0), [table1] "v"(table1), [weights1] "v"(weights1));
  *sum0 = added0;
  *sum1 = added1;
#endif
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

// Where windows' columns lie from the first pixel's first one on.
struct Distances {
  int64_t column_bytes, pixel_bytes;
};

// A unit of the columns that kPixels pixels have, the windows of two pixels kStep columns apart; where that
// is kColumns they share none, and may be anywhere.
template <int kPixels, int kColumns, int kStep>
class Unit {
 public:
  Unit(const uint8_t* digits, const Distances& distances, const __m512i* weights, Totals<kPixels>* totals)
      : digits_(digits), distances_(distances), weights_(weights), totals_(totals) {}

  // Two pixels at a time, or the last three, column by column: so that two look-ups in a row are never of one
  // pixel, and tables come into being when they are needed.
  [[gnu::always_inline]] void Add() {
#pragma GCC unroll 4
    for (int first = 0; first + 1 < kPixels; first += 2) {
      const int pixels = first + 3 == kPixels ? 3 : 2;
#pragma GCC unroll 8
      for (int i = 0; i + 1 < pixels * kColumns; i += 2) {
        AddTwo(first + i % pixels, i / pixels, first + (i + 1) % pixels, (i + 1) / pixels);
      }
      if (pixels * kColumns % 2 == 1) AddOne(first + pixels - 1, kColumns - 1);
    }
  }

 private:
  [[gnu::always_inline]] void AddOne(int pixel, int column) {
    totals_->bytes[pixel] = _mm512_add_epi8(totals_->bytes[pixel],
                                            _mm512_permutexvar_epi8(weights_[column], Table(pixel, column)));
  }

  [[gnu::always_inline]] void AddTwo(int pixel0, int column0, int pixel1, int column1) {
    const __m512i table0 = Table(pixel0, column0), table1 = Table(pixel1, column1);
    LookUpTwo(weights_[column0], table0, weights_[column1], table1, &totals_->bytes[pixel0],
              &totals_->bytes[pixel1]);
  }

  // All of this is known once loops are unrolled: each table is made once, and stays in a register.
  [[gnu::always_inline]] __m512i Table(int pixel, int column) {
    if (kStep == kColumns)
      return TableOfUnit(digits_ + pixel * distances_.pixel_bytes + column * distances_.column_bytes);
    const int place = kStep * pixel + column;
    if (!has_table_[place]) tables_[place] = TableOfUnit(digits_ + place * distances_.column_bytes);
    has_table_[place] = true;
    return tables_[place];
  }

  static constexpr int kPlaces = kStep * (kPixels - 1) + kColumns;

  const uint8_t* const digits_;
  const Distances& distances_;
  const __m512i* const weights_;
  Totals<kPixels>* const totals_;
  bool has_table_[kPlaces] = {};
  __m512i tables_[kPlaces];
};

// The weights of quads' fourth units, which the high bits of the quads' vectors have: `columns` vectors for
// each whole quad.
void UnpackFourths(const Rows& rows, const uint8_t* weights, uint8_t* fourths) {
  const __m512i low_two = _mm512_set1_epi8(0x03), low_four = _mm512_set1_epi8(0x0f);
  constexpr int kWhereSet = 0xca;  // the second where the first is set, the third elsewhere
  const int vector_bytes = rows.columns() * kVectorBytes;
  for (int row = 0; row < rows.count(); ++row) {
    const int units = rows.units(row);
    for (int quad = 0; quad < units / kQuad; ++quad, weights += kQuadVectors * vector_bytes) {
      for (const uint8_t *end = fourths + vector_bytes, *w = weights; fourths < end;
           w += kVectorBytes, fourths += kVectorBytes) {
        const __m512i a = _mm512_srli_epi16(_mm512_loadu_si512(w), 6);
        const __m512i b = _mm512_srli_epi16(_mm512_loadu_si512(w + vector_bytes), 4);
        const __m512i c = _mm512_srli_epi16(_mm512_loadu_si512(w + 2 * vector_bytes), 2);
        const __m512i ab = _mm512_ternarylogic_epi64(low_two, a, b, kWhereSet);
        _mm512_storeu_si512(fourths, _mm512_ternarylogic_epi64(low_four, ab, c, kWhereSet));
      }
    }
    weights += units % kQuad * vector_bytes;
  }
}

size_t FourthsBytes(int total_units) { return static_cast<size_t>(total_units / kQuad) * kVectorBytes; }

// The sums of kPixels pixels.
template <int kPixels, int kColumns, int kStep, typename Sum>
void SumPixels(const uint8_t* pixel, const Distances& distances, const Rows& rows, const uint8_t* weights,
               const uint8_t* fourths, Sum* sums) {
  Totals<kPixels> totals;
  totals.Clear();
  int byte_sums = kByteSumsOfSum16;
  for (int row = 0; row < rows.count(); ++row) {
    const uint8_t* digits = pixel + rows.offset(row);
    for (int left = rows.units(row); left > 0; left -= kQuad) {
      int lookups = 0;
#pragma GCC unroll 4
      for (int unit = 0; unit < kQuad; ++unit) {
        if (unit >= left) break;
        const uint8_t* const vectors =
            unit < kQuadVectors ? weights + unit * kColumns * kVectorBytes : fourths;
        __m512i of_unit[kColumns];
        for (int column = 0; column < kColumns; ++column) {
          of_unit[column] = _mm512_loadu_si512(vectors + column * kVectorBytes);
        }
        // Only a constant once this loop is unrolled.
        if ((lookups += kColumns) > kLookupsOfByteSum) {
          totals.Widen();
          --byte_sums;
          lookups = kColumns;
        }
        Unit<kPixels, kColumns, kStep>(digits + unit * kUnitBytes, distances, of_unit, &totals).Add();
      }
      totals.Widen();
      digits += kQuad * kUnitBytes;
      weights += kColumns * VectorsOfColumn(Min(left, kQuad)) * kVectorBytes;
      fourths += kColumns * kVectorBytes;
      // A quad has at most one byte sum more.
      if (sizeof(Sum) == sizeof(uint16_t) || --byte_sums > 1) continue;
      if constexpr (sizeof(Sum) == sizeof(uint32_t)) totals.AddTo(sums);
      totals.Clear();
      byte_sums = kByteSumsOfSum16;
    }
    // There is no fourth unit in a quad that is cut short.
    if (rows.units(row) % kQuad != 0) fourths -= kColumns * kVectorBytes;
  }
  if constexpr (sizeof(Sum) == sizeof(uint16_t)) {
    totals.Store(sums);
  } else {
    totals.AddTo(sums);
  }
}

// For 2 to kMost pixels.
template <int kMost, int kColumns, int kStep, typename Sum>
void SumFewPixels(const uint8_t* pixel, int count, const Distances& distances, const Rows& rows,
                  const uint8_t* weights, const uint8_t* fourths, Sum* sums) {
  if constexpr (kMost > 2) {
    if (count < kMost) {
      return SumFewPixels<kMost - 1, kColumns, kStep>(pixel, count, distances, rows, weights, fourths, sums);
    }
  }
  SumPixels<kMost, kColumns, kStep>(pixel, distances, rows, weights, fourths, sums);
}

template <typename Sum>
void SumLine(const uint8_t* pixel, int count, const Distances& distances, const Rows& rows,
             const uint8_t* weights, const uint8_t* fourths, Sum* sums) {
  const bool beside = distances.pixel_bytes == distances.column_bytes;
  switch (rows.columns()) {
    case 3:
      if (beside) {
        SumFewPixels<kMostPixels, 3, 1>(pixel, count, distances, rows, weights, fourths, sums);
      } else if (distances.pixel_bytes == 2 * distances.column_bytes) {
        SumFewPixels<kMostPixels, 3, 2>(pixel, count, distances, rows, weights, fourths, sums);
      } else {
        SumFewPixels<kMostPixels, 3, 3>(pixel, count, distances, rows, weights, fourths, sums);
      }
      break;
    case 5:
      if (beside) {
        SumFewPixels<kMostPixels, 5, 1>(pixel, count, distances, rows, weights, fourths, sums);
      } else {
        SumFewPixels<kMostPixels, 5, 5>(pixel, count, distances, rows, weights, fourths, sums);
      }
      break;
    default:
      SumFewPixels<kMostPixels, 1, 1>(pixel, count, distances, rows, weights, fourths, sums);
  }
}

// How many of the pixels follow the first, each as far from the one before as the second from the first: one
// only where there is no other.
int PixelsInLine(const uint8_t* const* pixels, int count) {
  int line = Min(count, 2);
  while (line < count && pixels[line] - pixels[line - 1] == pixels[1] - pixels[0]) ++line;
  return line;
}

template <typename Sum>
void SumAll(const uint8_t* const* pixels, int count, const Window& window, const uint8_t* weights,
            uint8_t* scratch, Sum* sums) {
  const Rows rows(window);
  UnpackFourths(rows, weights, scratch);
  while (count > 0) {
    const int line = PixelsInLine(pixels, count);
    if (line == 1) {
      // Twice, as look-ups come two by two.
      Sum both[2 * kOutputs] = {};
      SumLine(pixels[0], 2, {rows.column_bytes(), 0}, rows, weights, scratch, both);
      std::memcpy(sums, both, sizeof(*sums) * kOutputs);
      return;
    }
    const Distances distances = {rows.column_bytes(), pixels[1] - pixels[0]};
    // In turns that are about equal.
    for (int p = 0; p < line;) {
      const int turns = (line - p + kMostPixels - 1) / kMostPixels, turn = (line - p + turns - 1) / turns;
      SumLine(pixels[p], turn, distances, rows, weights, scratch, sums);
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

const BinaryKernel kAvx512Vbmi = {"avx512_vbmi", Packing::kSixes, false,  HasAvx512Vbmi, {600, 200, 700}, 56,
                                  WeightBytes,   PackWeights,     Sums16, Sums32,        FourthsBytes};

}  // namespace lowbit
}  // namespace caffe
