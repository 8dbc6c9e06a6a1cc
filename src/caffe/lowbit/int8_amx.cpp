// Sums by multiplying tiles: 16 pixels x 64 values by 64 weights x 16 outputs. The windows of the pixels are
// collected first; integers of 16 bits are taken apart into two of 8, since 256 times the sum of the upper
// ones and that of the lower ones make theirs. Compiled for AMX (tiles, int8) and AVX-512 F, BW, DQ, VL.
#include "caffe/lowbit/cpu_features.hpp"
#include "caffe/lowbit/int8_kernel.hpp"
#include "caffe/lowbit/simd_avx512.hpp"
#include "caffe/lowbit/tile_config.hpp"

namespace caffe {
namespace lowbit {

namespace {

constexpr int kOutputs = Int8Kernel::kOutputs, kStrip = 32;
constexpr int kPixels = 2 * kTileRows;
// Of a unit of a window, the values that meet one row of a tile of weights.
constexpr int kUnitValues = 4;
constexpr int kStripRowBytes = kStrip * kUnitValues;

static_assert((kTileRows - 1) * kStripRowBytes <= Int8Kernel::kWeightsReadAhead,
              "a strip's last tile may have but one row of its own");

int Min(int a, int b) { return a < b ? a : b; }

// Tiles in a window's length.
int Steps(int total_units) { return (total_units + kTileRows - 1) / kTileRows; }

// A collected window is filled up with zeros, as much as to the end of its last tile and further.
int RowBytes(int total_units) { return (Steps(total_units) + 1) * kTileRowBytes; }

/// Bytes, as they are.
struct Bytes {
  static constexpr int kParts = 1, kValueBytes = 1;

  /// Copies kCount values, 32 or 64.
  template <int kCount>
  static void Copy(const uint8_t* values, uint8_t* row, int64_t) {
    if (kCount == 64) return _mm512_storeu_si512(row, _mm512_loadu_si512(values));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(row),
                        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(values)));
  }
};

/// The lower halves, without a sign, and the upper ones, which have it.
struct Words {
  static constexpr int kParts = 2, kValueBytes = 2;

  template <int kCount>
  static void Copy(const uint8_t* values, uint8_t* row, int64_t part_bytes) {
    for (int i = 0; i < kCount; i += 32) {
      const __m512i words = _mm512_loadu_si512(values + i * kValueBytes);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(row + i), _mm512_cvtepi16_epi8(words));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(row + i + part_bytes),
                          _mm512_cvtepi16_epi8(_mm512_srli_epi16(words, 8)));
    }
  }
};

/// The collected windows of some pixels, part by part.
template <typename Values>
struct Windows {
  uint8_t* memory;
  int row_bytes, steps;

  Windows(int total_units, uint8_t* scratch)
      : memory(scratch), row_bytes(RowBytes(total_units)), steps(Steps(total_units)) {}

  static size_t MemoryBytes(int total_units) {
    return static_cast<size_t>(Values::kParts) * kPixels * RowBytes(total_units);
  }

  int64_t PartBytes() const { return int64_t{kPixels} * row_bytes; }
  const uint8_t* Row(int part, int pixel) const { return memory + part * PartBytes() + pixel * row_bytes; }

  // Copies kCount values that lie so far from each window's beginning.
  template <int kCount>
  void Copy(const uint8_t* const* pixels, int count, int64_t offset, uint8_t* to) const {
    for (int p = 0; p < count; ++p) {
      Values::template Copy<kCount>(pixels[p] + offset, to + p * row_bytes, PartBytes());
    }
  }

  // What is copied too much is overwritten by the next piece, the last by zeros.
  void Collect(const uint8_t* const* pixels, int count, const Window& window) const {
    uint8_t* to = memory;
    for (int piece = 0; piece < window.pieces; ++piece) {
      const int values = window.units[piece] * kUnitValues;
      int64_t offset = window.offsets[piece];
      int copied = 0;
      for (; copied + 32 < values; copied += 64, offset += 64 * Values::kValueBytes) {
        Copy<64>(pixels, count, offset, to + copied);
      }
      if (copied < values) Copy<32>(pixels, count, offset, to + copied);
      to += values;
    }
    for (int part = 0; part < Values::kParts; ++part) {
      for (int p = 0; p < count; ++p) {
        _mm512_storeu_si512(to + part * PartBytes() + p * row_bytes, _mm512_setzero_si512());
      }
    }
  }
};

template <bool kTwo, bool kSigned>
void MultiplyPart(const uint8_t* first, const uint8_t* second, int row_bytes, int steps,
                  const int8_t* weights) {
  _tile_zero(0);
  _tile_zero(1);
  if (kTwo) {
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int step = 0; step < steps; ++step) {
    _tile_loadd(6, weights, kStripRowBytes);
    _tile_loadd(4, first, row_bytes);
    _tile_loadd(7, weights + kTileRowBytes, kStripRowBytes);
    if (kSigned) {
      _tile_dpbssd(0, 4, 6);
      _tile_dpbssd(1, 4, 7);
    } else {
      _tile_dpbusd(0, 4, 6);
      _tile_dpbusd(1, 4, 7);
    }
    if (kTwo) {
      _tile_loadd(5, second, row_bytes);
      if (kSigned) {
        _tile_dpbssd(2, 5, 6);
        _tile_dpbssd(3, 5, 7);
      } else {
        _tile_dpbusd(2, 5, 6);
        _tile_dpbusd(3, 5, 7);
      }
    }
    first += kTileRowBytes;
    second += kTileRowBytes;
    weights += kTileRows * kStripRowBytes;
  }
}

// The sums of a part of the values: kPixels x kStrip, of which there are rows for the pixels.
template <bool kTwo, typename Values>
void SumPart(const Windows<Values>& windows, int part, const int8_t* weights, int32_t* sums) {
  const uint8_t* const first = windows.Row(part, 0);
  const uint8_t* const second = windows.Row(part, kTileRows);
  if (part > 0) {
    MultiplyPart<kTwo, true>(first, second, windows.row_bytes, windows.steps, weights);
  } else {
    MultiplyPart<kTwo, false>(first, second, windows.row_bytes, windows.steps, weights);
  }
  constexpr int kStride = kStrip * static_cast<int>(sizeof(*sums));
  _tile_stored(0, sums, kStride);
  _tile_stored(1, sums + 16, kStride);
  if (kTwo) {
    _tile_stored(2, sums + kTileRows * kStrip, kStride);
    _tile_stored(3, sums + kTileRows * kStrip + 16, kStride);
  }
}

template <bool kTwo, typename Values>
void SumStrip(const Windows<Values>& windows, int count, const int8_t* weights, const int32_t* const* starts,
              int strip, const float* units, const float* scales, float* sums) {
  alignas(64) int32_t of_parts[Values::kParts][kPixels * kStrip];
  for (int part = 0; part < Values::kParts; ++part) SumPart<kTwo>(windows, part, weights, of_parts[part]);
  for (int p = 0; p < count; ++p) {
    for (int o = 0; o < kStrip; o += 16) {
      __m512i total = _mm512_loadu_si512(starts[p] + strip * kStrip + o);
      for (int part = 0; part < Values::kParts; ++part) {
        const __m512i of_part = _mm512_loadu_si512(of_parts[part] + p * kStrip + o);
        total = _mm512_add_epi32(total, _mm512_slli_epi32(of_part, 8 * part));
      }
      const __m512 values = _mm512_mul_ps(_mm512_set1_ps(units[p]), _mm512_cvtepi32_ps(total));
      _mm512_storeu_ps(sums + p * kOutputs + strip * kStrip + o,
                       _mm512_mul_ps(values, _mm512_loadu_ps(scales + strip * kStrip + o)));
    }
  }
}

template <typename Values>
void Sum(const uint8_t* const* pixels, int count, const Window& window, const int8_t* weights, int strips,
         const int32_t* const* starts, const float* units, const float* scales, uint8_t* scratch,
         float* sums) {
  const Windows<Values> windows(window.total_units, scratch);
  for (int p = 0; p < count; p += kPixels) {
    const int some = Min(count - p, kPixels);
    const bool two = some > kTileRows;
    windows.Collect(pixels + p, some, window);
    const TileConfig config(Min(some, kTileRows), two ? some - kTileRows : kTileRows);
    _tile_loadconfig(&config);
    const auto sum = two ? SumStrip<true, Values> : SumStrip<false, Values>;
    for (int strip = 0; strip < strips; ++strip) {
      sum(windows, some, weights + int64_t{strip} * window.total_units * kStripRowBytes, starts + p, strip,
          units + p, scales, sums + p * kOutputs);
    }
  }
  _tile_release();
}

}  // namespace

const Int8Kernel kInt8Amx = {
    "int8_amx",
    HasAmxInt8,
    kPixels,
    {kUnitValues * Words::kValueBytes, kStrip, Windows<Words>::MemoryBytes, Sum<Words>},
    {kUnitValues * Bytes::kValueBytes, kStrip, Windows<Bytes>::MemoryBytes, Sum<Bytes>}};

}  // namespace lowbit
}  // namespace caffe
