// Sums by multiplying tiles: 16 pixels x 64 digits by 64 weights, 0 or 1, x 16 outputs. The weights are
// expanded from bits while the tiles before them are multiplied. Compiled for AMX (tiles, int8) and AVX-512
// F, BW, DQ, VL.
#include <cstring>

#include "caffe/lowbit/binary_kernels.hpp"
#include "caffe/lowbit/binary_weights.hpp"
#include "caffe/lowbit/cpu_features.hpp"
#include "caffe/lowbit/simd_avx512.hpp"

namespace caffe {
namespace lowbit {

namespace {

constexpr int kOutputs = BinaryKernel::kOutputs;
constexpr int kRows = 16, kRowBytes = 64, kUnitsOfRow = kRowBytes / 4;
// Two tiles of weights, or of digits, meet two of the other kind.
constexpr int kPairBytes = 2 * kRows * kRowBytes;
constexpr int kGroups = kOutputs / kQuadGroup;
// A tile's load has to wait until what was stored there is in the cache: so many steps ahead is early enough.
constexpr int kStepsAhead = 2;

int Min(int a, int b) { return a < b ? a : b; }

// Memory for the pairs of tiles of as many steps as a window has in general; of the last ones where it has
// more.
int SlotsOfWindow(int total_units) { return Min(total_units / kUnitsOfRow + 24, 128); }

// Weights of both groups of outputs, and digits.
size_t ScratchBytes(int total_units) {
  return static_cast<size_t>(SlotsOfWindow(total_units)) * (kGroups + 1) * kPairBytes;
}

struct Slots {
  uint8_t* memory;
  int count;

  uint8_t* Of(int step) const { return memory + static_cast<size_t>(step % count) * kPairBytes; }
};

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

// Some pixels, at most a tile's rows.
struct Pixels {
  const uint8_t* const* first;
  int count;

  ptrdiff_t Stride() const { return count > 1 ? first[1] - first[0] : 0; }

  bool AreEquidistant() const {
    for (int p = 2; p < count; ++p) {
      if (first[p] - first[p - 1] != Stride()) return false;
    }
    return true;
  }

  void Gather(int offset, uint8_t* rows) const {
    for (int p = 0; p < count; ++p) {
      _mm512_storeu_si512(rows + p * kRowBytes, _mm512_loadu_si512(first[p] + offset));
    }
  }
};

void ExpandBits(const uint8_t* weights, uint8_t* row) {
  uint64_t bits;
  std::memcpy(&bits, weights, sizeof(bits));
  _mm512_storeu_si512(row, _mm512_maskz_mov_epi8(bits, _mm512_set1_epi8(1)));
}

// Two tiles of weights, filled up with zeros.
void ExpandUnits(const uint8_t* weights, int units, uint8_t* tiles) {
  uint8_t* const second = tiles + kRows * kRowBytes;
  int unit = 0;
  for (; unit < units; ++unit, weights += kQuadGroupBytes) {
    ExpandBits(weights, tiles + unit * kRowBytes);
    ExpandBits(weights + 8, second + unit * kRowBytes);
  }
  for (; unit < kRows; ++unit) {
    _mm512_storeu_si512(tiles + unit * kRowBytes, _mm512_setzero_si512());
    _mm512_storeu_si512(second + unit * kRowBytes, _mm512_setzero_si512());
  }
}

// What is stored is not held back: GCC does not know that its tile instructions read memory.
void FinishStores() { __asm__ volatile("" ::: "memory"); }

// Tiles 0 to 3: sums (first pixels, first and second outputs; second pixels, likewise); 4 and 5: digits of
// the first and second pixels; 6 and 7: weights of the first and second outputs.
void Configure(int first_rows, int second_rows) {
  struct {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};
  } config;
  const uint8_t first = static_cast<uint8_t>(first_rows), second = static_cast<uint8_t>(second_rows);
  const uint8_t rows[8] = {first, first, second, second, first, second, kRows, kRows};
  for (int tile = 0; tile < 8; ++tile) {
    config.row_bytes[tile] = kRowBytes;
    config.rows[tile] = rows[tile];
  }
  FinishStores();
  _tile_loadconfig(&config);
}

// What is multiplied: the digits of one or two tiles of pixels by the weights of a group of outputs.
struct Product {
  Pixels first, second;
  const Window* window;
  const uint8_t* weights;
  Slots expanded, gathered;
  // Whether to fill the slots, or digits come from the pixels themselves.
  bool expand, gather, direct;

  void Prepare(const Steps& at, int step) {
    if (expand) {
      ExpandUnits(weights, at.Units(), expanded.Of(step));
      weights += at.Units() * kQuadGroupBytes;
    }
    if (gather) {
      first.Gather(at.Offset(), gathered.Of(step));
      second.Gather(at.Offset(), gathered.Of(step) + kRows * kRowBytes);
    }
  }

  template <bool kTwo>
  void Sum() {
    const ptrdiff_t first_stride = direct ? first.Stride() : kRowBytes;
    const ptrdiff_t second_stride = direct ? second.Stride() : kRowBytes;
    _tile_zero(0);
    _tile_zero(1);
    if (kTwo) {
      _tile_zero(2);
      _tile_zero(3);
    }
    Steps ahead(*window);
    int prepared = 0;
    int step = 0;
    for (Steps at(*window); !at.Done(); at.Advance(), ++step) {
      for (; prepared <= step + kStepsAhead && !ahead.Done(); ahead.Advance()) Prepare(ahead, prepared++);
      FinishStores();
      const uint8_t* const tiles = expanded.Of(step);
      const uint8_t* const rows = gathered.Of(step);
      _tile_loadd(6, tiles, kRowBytes);
      _tile_loadd(4, direct ? first.first[0] + at.Offset() : rows, first_stride);
      _tile_dpbusd(0, 4, 6);
      _tile_loadd(7, tiles + kRows * kRowBytes, kRowBytes);
      _tile_dpbusd(1, 4, 7);
      if (kTwo) {
        _tile_loadd(5, direct ? second.first[0] + at.Offset() : rows + kRows * kRowBytes, second_stride);
        _tile_dpbusd(2, 5, 6);
        _tile_dpbusd(3, 5, 7);
      }
    }
  }
};

template <bool kTwo>
void StoreTiles(uint32_t* sums, int row_sums) {
  const int stride = row_sums * static_cast<int>(sizeof(*sums));
  _tile_stored(0, sums, stride);
  _tile_stored(1, sums + 16, stride);
  if (kTwo) {
    _tile_stored(2, sums + kRows * row_sums, stride);
    _tile_stored(3, sums + kRows * row_sums + 16, stride);
  }
}

template <bool kTwo>
void StoreSums(int, uint32_t* sums) {
  StoreTiles<kTwo>(sums, kOutputs);
}

template <bool kTwo>
void StoreSums(int count, uint16_t* sums) {
  alignas(64) uint32_t wide[2 * kRows * kQuadGroup];
  StoreTiles<kTwo>(wide, kQuadGroup);
  for (int p = 0; p < count; ++p) {
    for (int o = 0; o < kQuadGroup; o += 16) {
      const __m512i row = _mm512_loadu_si512(wide + p * kQuadGroup + o);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + p * kOutputs + o), _mm512_cvtepi32_epi16(row));
    }
  }
}

// Sums of at most two tiles of pixels. Slots that hold a whole window keep what an earlier call expanded.
template <typename Sum>
void SumTiles(const Pixels& first, const Pixels& second, const Window& window, const uint8_t* weights,
              bool is_first_call, uint8_t* scratch, Sum* sums) {
  const int slots = SlotsOfWindow(window.total_units);
  const size_t slots_bytes = static_cast<size_t>(slots) * kPairBytes;
  const bool keep = CountSteps(window) <= slots;
  const bool direct = first.AreEquidistant() && second.AreEquidistant();
  for (int group = 0; group < kGroups; ++group) {
    Product product = {first,
                       second,
                       &window,
                       weights + static_cast<size_t>(group) * window.total_units * kQuadGroupBytes,
                       {scratch + group * slots_bytes, slots},
                       {scratch + kGroups * slots_bytes, slots},
                       is_first_call || !keep,
                       !direct && (group == 0 || !keep),
                       direct};
    Sum* const out = sums + group * kQuadGroup;
    if (second.count > 0) {
      product.template Sum<true>();
      StoreSums<true>(first.count + second.count, out);
    } else {
      product.template Sum<false>();
      StoreSums<false>(first.count, out);
    }
  }
}

template <typename Sum>
void SumPixels(const uint8_t* const* pixels, int count, const Window& window, const uint8_t* weights,
               uint8_t* scratch, Sum* sums) {
  for (int p = 0; p < count; p += 2 * kRows) {
    const Pixels first = {pixels + p, Min(count - p, kRows)};
    const Pixels second = {pixels + p + first.count, Min(count - p - first.count, kRows)};
    // The first tiles are full ones, or the last as well.
    if (p == 0 || count - p < 2 * kRows) Configure(first.count, second.count > 0 ? second.count : kRows);
    SumTiles(first, second, window, weights, p == 0, scratch, sums + p * kOutputs);
  }
  _tile_release();
}

}  // namespace

const BinaryKernel kAmx = {"amx",           Packing::kBytes, HasAmxInt8, {2000, 160, 2000}, 112,
                           QuadWeightBytes, PackQuadWeights, SumPixels,  SumPixels,         ScratchBytes};

}  // namespace lowbit
}  // namespace caffe
