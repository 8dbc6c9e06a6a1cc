#include "caffe/lowbit/float_tiles.hpp"

#include <vector>

namespace caffe {
namespace lowbit {

namespace {

constexpr size_t kTileBytes = 1024, kRowBytes = 64;

size_t Steps(int total_units) { return (total_units + FloatTiles::kStep - 1) / FloatTiles::kStep; }

// Where a tile has the weight of an output for a value of its step.
size_t PlaceInTile(int output, int value) { return value / 2 * kRowBytes + output * 4 + value % 2 * 2; }

}  // namespace

size_t GatheredBytes(int total_units) {
  // Windows are copied in whole vectors: the last one ends farther.
  return FloatTiles::kParts * FloatTiles::kPixels * (Steps(total_units) + 1) * kRowBytes;
}

size_t TileStripBytes(int total_units) { return FloatTiles::kParts * Steps(total_units) * 2 * kTileBytes; }

void PackTileWeights(const FloatTiles& tiles, const float* row, int total_units, int output, uint8_t* strip) {
  std::vector<uint16_t> parts(static_cast<size_t>(FloatTiles::kParts) * total_units);
  tiles.split(row, total_units, parts.data(), total_units);
  for (int part = 0; part < FloatTiles::kParts; ++part) {
    for (int k = 0; k < total_units; ++k) {
      const size_t step = part * Steps(total_units) + k / FloatTiles::kStep;
      uint8_t* const tile = strip + (2 * step + output / 16) * kTileBytes;
      *reinterpret_cast<uint16_t*>(tile + PlaceInTile(output % 16, k % FloatTiles::kStep)) =
          parts[static_cast<size_t>(part) * total_units + k];
    }
  }
}

}  // namespace lowbit
}  // namespace caffe
