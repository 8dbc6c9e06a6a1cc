// Sums of real numbers by multiplying tiles of bfloat16: 16 pixels x 32 values by 32 values x 16 outputs.
// Compiled for AMX (tiles, bfloat16) and AVX-512 F, BW, DQ, VL. See binary_kernels.hpp for what may not be
// used.
#include "caffe/lowbit/cpu_features.hpp"
#include "caffe/lowbit/float_kernel.hpp"
#include "caffe/lowbit/float_tiles.hpp"
#include "caffe/lowbit/simd_avx512.hpp"
#include "caffe/lowbit/tile_config.hpp"

namespace caffe {
namespace lowbit {

namespace {

constexpr int kLanes = 16;

int Min(int a, int b) { return a < b ? a : b; }

int Steps(int total_units) { return (total_units + FloatTiles::kStep - 1) / FloatTiles::kStep; }

// Rows of collected windows are a vector longer than tiles need.
int RowStride(int total_units) { return (Steps(total_units) + 1) * kTileRowBytes; }
int64_t PartBytes(int total_units) { return int64_t{FloatTiles::kPixels} * RowStride(total_units); }

// Floats are rounded to the nearest bfloat16, their upper half; of two, to the even one. The largest are cut
// off instead, since rounding would make them infinite; so are infinities, and NaNs, whose bits would
// overflow.
__m512i RoundToPart(const __m512i& bits) {
  const __m512i magnitude = _mm512_and_si512(bits, _mm512_set1_epi32(0x7fffffff));
  const __mmask16 is_rounded = _mm512_cmplt_epu32_mask(magnitude, _mm512_set1_epi32(0x7f7f8000));
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i half = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
  const __m512i rounded = _mm512_mask_add_epi32(bits, is_rounded, bits, half);
  return _mm512_and_si512(rounded, _mm512_set1_epi32(static_cast<int>(0xffff0000)));
}

// What a part leaves, without error. Of an infinity it is NaN.
__m512i Rest(const __m512i& value, const __m512i& part) {
  return _mm512_castps_si512(_mm512_sub_ps(_mm512_castsi512_ps(value), _mm512_castsi512_ps(part)));
}

void StorePart(const __m512i& part, __mmask16 lanes, uint16_t* at) {
  _mm256_mask_storeu_epi16(at, lanes, _mm512_cvtepi32_epi16(_mm512_srli_epi32(part, 16)));
}

bool AnyBit(const __m512i& bits) { return _mm512_test_epi32_mask(bits, bits) != 0; }

int Split(const float* values, int64_t count, uint16_t* parts, int64_t stride) {
  __m512i seconds = _mm512_setzero_si512(), thirds = seconds;
  for (int64_t i = 0; i < count; i += kLanes) {
    const __mmask16 lanes = static_cast<__mmask16>(count - i < kLanes ? (1 << (count - i)) - 1 : 0xffff);
    const __m512i value = _mm512_maskz_loadu_epi32(lanes, values + i);
    const __m512i first = RoundToPart(value), rest = Rest(value, first);
    // What it leaves has 8 bits at most.
    const __m512i second = RoundToPart(rest), third = Rest(rest, second);
    StorePart(first, lanes, parts + i);
    StorePart(second, lanes, parts + i + stride);
    StorePart(third, lanes, parts + i + 2 * stride);
    seconds = _mm512_or_si512(seconds, second);
    thirds = _mm512_or_si512(thirds, third);
  }
  return AnyBit(thirds) ? 3 : AnyBit(seconds) ? 2 : 1;
}

// As many pixels as tiles have rows.
struct Pixels {
  const uint8_t* windows[FloatTiles::kPixels];
  int count;

  // Copies the vector that lies so far from each window's beginning.
  void Copy(int64_t offset, uint8_t* rows, int row_stride) const {
    for (int p = 0; p < count; ++p, rows += row_stride) {
      _mm512_storeu_si512(rows, _mm512_loadu_si512(windows[p] + offset));
    }
  }
};

// Rows that a tile has beyond the pixels are those of the last one.
Pixels FillTiles(const uint8_t* const* pixels, int count) {
  Pixels filled;
  filled.count = (count + kTileRows - 1) / kTileRows * kTileRows;
  for (int p = 0; p < filled.count; ++p) filled.windows[p] = pixels[Min(p, count - 1)];
  return filled;
}

// Copies whole vectors: what is too much of one is overwritten by the next, the last by zeros. Their end is
// in the gap after the row.
void GatherPart(const Pixels& pixels, const Window& window, int64_t part_offset, uint8_t* rows) {
  const int row_stride = RowStride(window.total_units);
  for (int piece = 0; piece < window.pieces; ++piece) {
    const int bytes = window.units[piece] * static_cast<int>(sizeof(uint16_t));
    for (int i = 0; i < bytes; i += kTileRowBytes) {
      pixels.Copy(part_offset + window.offsets[piece] + i, rows + i, row_stride);
    }
    rows += bytes;
  }
  for (int p = 0; p < pixels.count; ++p) {
    _mm512_storeu_si512(rows + int64_t{p} * row_stride, _mm512_setzero_si512());
  }
}

void Gather(const uint8_t* const* pixels, int count, const Window& window, int64_t part_bytes, int parts,
            uint8_t* rows) {
  const Pixels filled = FillTiles(pixels, count);
  for (int part = 0; part < parts; ++part) {
    GatherPart(filled, window, part * part_bytes, rows + part * PartBytes(window.total_units));
  }
}

// A part of the values and one of the weights.
struct Pair {
  int of_values, of_weights;
};

// The smallest products come first, so that sums round them to their own size.
constexpr Pair kPairs[] = {{2, 0}, {1, 1}, {0, 2}, {1, 0}, {0, 1}, {0, 0}};

template <bool kTwo>
void AddProducts(const uint8_t* rows, int row_stride, const uint8_t* weights, int steps) {
  const uint8_t* second_rows = rows + int64_t{kTileRows} * row_stride;
  for (int step = 0; step < steps; ++step) {
    _tile_loadd(6, weights, kTileRowBytes);
    _tile_loadd(4, rows, row_stride);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, weights + kTileBytes, kTileRowBytes);
    _tile_dpbf16ps(1, 4, 7);
    if (kTwo) {
      _tile_loadd(5, second_rows, row_stride);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    rows += kTileRowBytes;
    second_rows += kTileRowBytes;
    weights += 2 * kTileBytes;
  }
}

template <bool kTwo>
void SumStrip(const uint8_t* rows, int total_units, int parts, const uint8_t* weights, float* sums) {
  const int steps = Steps(total_units);
  _tile_zero(0);
  _tile_zero(1);
  if (kTwo) {
    _tile_zero(2);
    _tile_zero(3);
  }
  for (const Pair& pair : kPairs) {
    if (pair.of_values >= parts) continue;
    AddProducts<kTwo>(rows + pair.of_values * PartBytes(total_units), RowStride(total_units),
                      weights + int64_t{pair.of_weights} * steps * 2 * kTileBytes, steps);
  }
  constexpr int kStride = FloatTiles::kOutputs * static_cast<int>(sizeof(*sums));
  _tile_stored(0, sums, kStride);
  _tile_stored(1, sums + 16, kStride);
  if (kTwo) {
    _tile_stored(2, sums + kTileRows * FloatTiles::kOutputs, kStride);
    _tile_stored(3, sums + kTileRows * FloatTiles::kOutputs + 16, kStride);
  }
}

void Sums(const uint8_t* rows, int count, int total_units, int parts, const uint8_t* weights, int strips,
          float* sums) {
  const int64_t strip_bytes = int64_t{FloatTiles::kParts} * Steps(total_units) * 2 * kTileBytes;
  const TileConfig config(kTileRows, kTileRows);
  _tile_loadconfig(&config);
  for (int strip = 0; strip < strips; ++strip, weights += strip_bytes, sums += FloatTiles::kStrip) {
    if (count > kTileRows) {
      SumStrip<true>(rows, total_units, parts, weights, sums);
    } else {
      SumStrip<false>(rows, total_units, parts, weights, sums);
    }
  }
  _tile_release();
}

const FloatTiles kTiles = {Split, Gather, Sums};

}  // namespace

const FloatKernel kFloatAmx = {"amx_bf16", HasAmxBf16, 0, nullptr, {}, &kTiles};

}  // namespace lowbit
}  // namespace caffe
