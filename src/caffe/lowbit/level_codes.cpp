#include "caffe/lowbit/level_codes.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "caffe/lowbit/plan.hpp"
#include "caffe/util/target_clones.hpp"

namespace caffe {
namespace lowbit {

namespace {

// How many levels are compared is known at compile time, so that the loop vectorizes.
template <int kLevels>
[[gnu::always_inline]] inline bool Codes(const float* values, int64_t count, const float* levels,
                                         uint8_t* codes) {
  float level[kLevels];
  std::copy_n(levels, kLevels, level);
  int unknown = 0;
  for (int64_t i = 0; i < count; ++i) {
    int code = 0, known = 0;
    for (int j = 0; j < kLevels; ++j) {
      const int same = values[i] == level[j];
      code += same * j;
      known |= same;
    }
    codes[i] = static_cast<uint8_t>(code);
    unknown |= known ^ 1;
  }
  return unknown == 0;
}

CAFFE_TARGET_CLONES bool Codes2(const float* values, int64_t count, const float* levels, uint8_t* codes) {
  return Codes<2>(values, count, levels, codes);
}

CAFFE_TARGET_CLONES bool Codes4(const float* values, int64_t count, const float* levels, uint8_t* codes) {
  return Codes<4>(values, count, levels, codes);
}

CAFFE_TARGET_CLONES bool CodesAny(const float* values, int64_t count, const float* levels, uint8_t* codes) {
  return Codes<kMaxLevels>(values, count, levels, codes);
}

constexpr int kSide = 8;

// Exchanges, between words `distance` apart, the blocks of `distance` bytes that the mask leaves out above
// for those that it has below.
inline void Exchange(uint64_t* rows, int distance, uint64_t mask) {
  for (int i = 0; i < kSide; ++i) {
    if (i & distance) continue;
    const uint64_t swapped = (rows[i] >> 8 * distance ^ rows[i + distance]) & mask;
    rows[i] ^= swapped << 8 * distance;
    rows[i + distance] ^= swapped;
  }
}

// Rows of bytes, the first the lowest, become columns.
inline void Transpose(uint64_t* rows) {
  Exchange(rows, 4, 0x00000000ffffffffu);
  Exchange(rows, 2, 0x0000ffff0000ffffu);
  Exchange(rows, 1, 0x00ff00ff00ff00ffu);
}

}  // namespace

LevelCodes::LevelCodes(const std::vector<float>& levels)
    : count_(static_cast<int>(levels.size())), levels_(levels) {
  levels_.resize(kMaxLevels, std::nanf(""));
}

bool LevelCodes::Find(const float* values, int64_t count, uint8_t* codes) const {
  if (count_ <= 2) return Codes2(values, count, levels_.data(), codes);
  if (count_ <= 4) return Codes4(values, count, levels_.data(), codes);
  return CodesAny(values, count, levels_.data(), codes);
}

bool LevelCodes::Find(const float* image, int channels, int64_t image_pixels, int64_t first, int64_t pixels,
                      uint8_t* codes) const {
  if (channels == 1) return Find(image + first, pixels, codes + first);
  alignas(64) uint8_t tile[kSide][kPixels];
  for (int channel = 0; channel < channels; channel += kSide) {
    const int rows = std::min(kSide, channels - channel);
    for (int row = 0; row < rows; ++row) {
      if (!Find(image + (channel + row) * image_pixels + first, pixels, tile[row])) return false;
    }
    for (int64_t pixel = 0; pixel < pixels; pixel += kSide) {
      uint64_t columns[kSide] = {};
      for (int row = 0; row < rows; ++row) std::memcpy(&columns[row], &tile[row][pixel], kSide);
      Transpose(columns);
      for (int64_t p = pixel; p < std::min(pixel + kSide, pixels); ++p) {
        uint8_t* const to = codes + (first + p) * channels + channel;
        if (rows == kSide) {
          std::memcpy(to, &columns[p - pixel], kSide);
        } else {
          std::memcpy(to, &columns[p - pixel], rows);
        }
      }
    }
  }
  return true;
}

}  // namespace lowbit
}  // namespace caffe
