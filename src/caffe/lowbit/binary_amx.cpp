// Sums by multiplying tiles: 16 pixels x 64 digits by 64 weights, -1 or 1, x 16 outputs. The weights are
// expanded from bits while the tiles before them are multiplied. Compiled for AMX (tiles, int8) and AVX-512
// F, BW, DQ, VL.
#include <cstring>

#include "caffe/lowbit/binary_kernels.hpp"
#include "caffe/lowbit/binary_weights.hpp"
#include "caffe/lowbit/cpu_features.hpp"
#include "caffe/lowbit/simd_avx512.hpp"
#include "caffe/lowbit/tile_config.hpp"

namespace caffe {
namespace lowbit {

namespace {

constexpr int kOutputs = BinaryKernel::kOutputs;
constexpr int kUnitsOfRow = kTileRowBytes / 4;
// Two tiles of weights meet two tiles of digits.
constexpr int kPairBytes = 2 * kTileBytes;
constexpr int kGroups = kOutputs / kQuadGroup;
// A tile's load has to wait until what was stored there is in the cache: so many steps ahead is early enough.
constexpr int kStepsAhead = 2;

int Min(int a, int b) { return a < b ? a : b; }

// Memory for the weights of as many steps as a window has in general; of the last ones where it has more.
int SlotsOfWindow(int total_units) { return Min(total_units / kUnitsOfRow + 24, 128); }

size_t GroupScratchBytes(int total_units) {
  return static_cast<size_t>(SlotsOfWindow(total_units)) * kPairBytes;
}

size_t ScratchBytes(int total_units) { return kGroups * GroupScratchBytes(total_units); }

// Walks over a window, a tile's row at a time.
class Steps {
 public:
  explicit Steps(const Window& window) : window_(window) { SkipEmptyPieces(); }

  bool Done() const { return piece_ == window_.pieces; }
  int Offset() const { return window_.offsets[piece_] + 4 * unit_; }
  int Units() const { return Min(window_.units[piece_] - unit_, kUnitsOfRow); }

  void Advance() {
    unit_ += kUnitsOfRow;
    SkipEmptyPieces();
  }

 private:
  void SkipEmptyPieces() {
    while (!Done() && unit_ >= window_.units[piece_]) {
      ++piece_;
      unit_ = 0;
    }
  }

  const Window& window_;
  int piece_ = 0, unit_ = 0;
};

int CountSteps(const Window& window) {
  int count = 0;
  for (Steps steps(window); !steps.Done(); steps.Advance()) ++count;
  return count;
}

/// Pixels whose digits are loaded as one tile. Its rows are equally far from each other in memory, so that at
/// the end of an image's row it has some whose sums nobody wants.
struct PixelTile {
  const uint8_t* first = nullptr;
  ptrdiff_t stride = 0;
  int rows = 0, pixels = 0;
  int row_of_pixel[kTileRows];

  // Takes the first of `count` pixels and as many after it as fit.
  PixelTile(const uint8_t* const* at, int count) {
    if (count == 0) return;
    first = at[0];
    if (count > 1) stride = at[1] - at[0];
    // The first may be the last one of its image's row.
    if (count > 2 && at[2] - at[1] < stride) stride = at[2] - at[1];
    const uint8_t* row = first;
    while (pixels < count && rows < kTileRows) {
      if (row == at[pixels]) row_of_pixel[pixels++] = rows;
      ++rows;
      row += stride;
    }
    // Rows after the last pixel may lie outside of what there is.
    rows = row_of_pixel[pixels - 1] + 1;
  }
};

void ExpandBits(const uint8_t* weights, uint8_t* row) {
  uint64_t bits;
  std::memcpy(&bits, weights, sizeof(bits));
  _mm512_storeu_si512(row, _mm512_mask_blend_epi8(bits, _mm512_set1_epi8(-1), _mm512_set1_epi8(1)));
}

// Two tiles of weights, filled up with zeros.
void ExpandUnits(const uint8_t* weights, int units, uint8_t* tiles) {
  uint8_t* const second = tiles + kTileBytes;
  int unit = 0;
  for (; unit < units; ++unit, weights += kQuadGroupBytes) {
    ExpandBits(weights, tiles + unit * kTileRowBytes);
    ExpandBits(weights + 8, second + unit * kTileRowBytes);
  }
  for (; unit < kTileRows; ++unit) {
    _mm512_storeu_si512(tiles + unit * kTileRowBytes, _mm512_setzero_si512());
    _mm512_storeu_si512(second + unit * kTileRowBytes, _mm512_setzero_si512());
  }
}

// Memory that holds the tiles of weights of so many steps, those of later ones where earlier ones were.
struct Slots {
  uint8_t* memory;
  int count;

  uint8_t* Of(int step) const { return memory + static_cast<size_t>(step % count) * kPairBytes; }
};

// Multiplies the digits of one or two tiles of pixels by the weights of a group of outputs; into tiles 0
// to 3. `weights` are null where the slots still hold all of them.
template <bool kTwo>
void Multiply(const PixelTile& first, const PixelTile& second, const Window& window, const uint8_t* weights,
              const Slots& expanded) {
  _tile_zero(0);
  _tile_zero(1);
  if (kTwo) {
    _tile_zero(2);
    _tile_zero(3);
  }
  Steps ahead(window);
  int prepared = 0, step = 0;
  for (Steps at(window); !at.Done(); at.Advance(), ++step) {
    if (weights) {
      for (; prepared <= step + kStepsAhead && !ahead.Done(); ahead.Advance()) {
        ExpandUnits(weights, ahead.Units(), expanded.Of(prepared++));
        weights += ahead.Units() * kQuadGroupBytes;
      }
      FinishStores(expanded.memory);
    }
    const uint8_t* const tiles = expanded.Of(step);
    _tile_loadd(6, tiles, kTileRowBytes);
    _tile_loadd(4, first.first + at.Offset(), first.stride);
    _tile_dpbusd(0, 4, 6);
    _tile_loadd(7, tiles + kTileBytes, kTileRowBytes);
    _tile_dpbusd(1, 4, 7);
    if (kTwo) {
      _tile_loadd(5, second.first + at.Offset(), second.stride);
      _tile_dpbusd(2, 5, 6);
      _tile_dpbusd(3, 5, 7);
    }
  }
}

void StoreRow(const uint32_t* row, uint32_t* sums) {
  for (int o = 0; o < kQuadGroup; o += 16) _mm512_storeu_si512(sums + o, _mm512_loadu_si512(row + o));
}

void StoreRow(const uint32_t* row, uint16_t* sums) {
  // By turns four sums of each half.
  const __m512i words = _mm512_packs_epi32(_mm512_loadu_si512(row), _mm512_loadu_si512(row + 16));
  const __m512i in_order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
  _mm512_storeu_si512(sums, _mm512_permutexvar_epi64(in_order, words));
}

template <typename Sum>
void StorePixels(const PixelTile& tile, const uint32_t* rows, Sum* sums) {
  for (int p = 0; p < tile.pixels; ++p) {
    StoreRow(rows + tile.row_of_pixel[p] * kQuadGroup, sums + p * kOutputs);
  }
}

// Of all pixels of one or two tiles under the weights of a group.
template <bool kTwo, typename Sum>
void SumTiles(const PixelTile& first, const PixelTile& second, const Window& window, const uint8_t* weights,
              const Slots& expanded, Sum* sums) {
  Multiply<kTwo>(first, second, window, weights, expanded);
  alignas(64) uint32_t rows[2 * kTileRows * kQuadGroup];
  uint32_t* const of_second = rows + kTileRows * kQuadGroup;
  constexpr int kStride = kQuadGroup * static_cast<int>(sizeof(*rows));
  _tile_stored(0, rows, kStride);
  _tile_stored(1, rows + 16, kStride);
  if (kTwo) {
    _tile_stored(2, of_second, kStride);
    _tile_stored(3, of_second + 16, kStride);
  }
  StorePixels(first, rows, sums);
  if (kTwo) StorePixels(second, of_second, sums + first.pixels * kOutputs);
}

template <typename Sum>
void SumPixels(const uint8_t* const* pixels, int count, const Window& window, const uint8_t* weights,
               uint8_t* scratch, Sum* sums) {
  const int slots = SlotsOfWindow(window.total_units);
  const bool keep = CountSteps(window) <= slots;
  int first_rows = 0, second_rows = 0;
  for (int p = 0; p < count;) {
    const PixelTile first(pixels + p, count - p);
    const PixelTile second(pixels + p + first.pixels, count - p - first.pixels);
    if (first.rows != first_rows || (second.pixels > 0 && second.rows != second_rows)) {
      first_rows = first.rows;
      second_rows = second.pixels > 0 ? second.rows : kTileRows;
      const TileConfig config(first_rows, second_rows);
      _tile_loadconfig(&config);
    }
    for (int group = 0; group < kGroups; ++group) {
      const bool expand = p == 0 || !keep;
      const uint8_t* const of_group =
          weights + static_cast<size_t>(group) * window.total_units * kQuadGroupBytes;
      const Slots expanded = {scratch + group * GroupScratchBytes(window.total_units), slots};
      const auto sum = second.pixels > 0 ? SumTiles<true, Sum> : SumTiles<false, Sum>;
      sum(first, second, window, expand ? of_group : nullptr, expanded,
          sums + p * kOutputs + group * kQuadGroup);
    }
    p += first.pixels + second.pixels;
  }
  _tile_release();
}

}  // namespace

const BinaryKernel kAmx = {"amx",           Packing::kBytes, true,      HasAmxInt8, {2000, 160, 2000}, 224,
                           QuadWeightBytes, PackQuadWeights, SumPixels, SumPixels,  ScratchBytes};

}  // namespace lowbit
}  // namespace caffe
