#ifndef CAFFE_LOWBIT_TILE_CONFIG_HPP_
#define CAFFE_LOWBIT_TILE_CONFIG_HPP_

#include <cstdint>

// Of the kernels that multiply tiles (AMX); each file that includes this has its own.
namespace caffe {
namespace lowbit {
namespace {

/// A tile has up to 16 rows of 64 bytes.
constexpr int kTileRows = 16, kTileRowBytes = 64, kTileBytes = kTileRows * kTileRowBytes;

/// What is stored is not held back: GCC does not know that its tile instructions read memory, nor of what a
/// pointer points to that they do.
inline void FinishStores(const void* read) { __asm__ volatile("" ::"r"(read) : "memory"); }

/// The shapes of the tiles, as the processor reads them; what was stored before is there by then. Tiles 0 to
/// 3: sums (first pixels, first and second outputs; second pixels, likewise); 4 and 5: values of the first
/// and second pixels, one a row; 6 and 7: weights of the first and second outputs.
struct TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  TileConfig(int first_pixels, int second_pixels) {
    for (int tile = 0; tile < 8; ++tile) {
      const bool of_second = tile == 2 || tile == 3 || tile == 5, of_weights = tile >= 6;
      row_bytes[tile] = kTileRowBytes;
      rows[tile] = static_cast<uint8_t>(of_weights ? kTileRows : of_second ? second_pixels : first_pixels);
    }
    FinishStores(this);
  }
};

}  // namespace
}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_TILE_CONFIG_HPP_
