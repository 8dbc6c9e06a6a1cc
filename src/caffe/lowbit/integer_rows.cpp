#include "caffe/lowbit/integer_rows.hpp"

#include <algorithm>
#include <cstring>

#include "caffe/util/target_clones.hpp"

namespace caffe {
namespace lowbit {

namespace {

// Numbers between 2^23 and 2^24 have no fraction, and the integer in their lowest bits.
constexpr float kShift = 12582912.f;

// Values of interleaved channels are taken by as many as give each channel whole vectors.
constexpr int kPixels = 16, kMostValues = kPixels * kMostByteChannels;

// What is given for each channel, for each of kPixels pixels.
template <typename Value>
void Repeat(const Value* of_channels, int channels, Value* of_pixels) {
  for (int i = 0; i < kPixels; ++i) std::copy_n(of_channels, channels, of_pixels + i * channels);
}

// The first `count` values of both are those that follow one another in a row.
CAFFE_TARGET_CLONES void Widen(const float* values, int count, float* least, float* most) {
  for (int i = 0; i < count; ++i) {
    least[i] = values[i] < least[i] ? values[i] : least[i];
    most[i] = values[i] > most[i] ? values[i] : most[i];
  }
}

CAFFE_TARGET_CLONES bool SomeToBytes(const float* values, int count, float factor, const int32_t* least,
                                     uint8_t* bytes) {
  int32_t fractions = 0;
  for (int i = 0; i < count; ++i) {
    const float scaled = values[i] * factor, shifted = scaled + kShift;
    fractions |= shifted - kShift != scaled;
    int32_t bits;
    std::memcpy(&bits, &shifted, sizeof(bits));
    bytes[i] = static_cast<uint8_t>(bits - least[i]);
  }
  return fractions == 0;
}

}  // namespace

CAFFE_TARGET_CLONES int32_t LargestBits(const float* values, int64_t count) {
  int32_t largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    int32_t bits;
    std::memcpy(&bits, values + i, sizeof(bits));
    bits &= 0x7fffffff;
    largest = largest > bits ? largest : bits;
  }
  return largest;
}

CAFFE_TARGET_CLONES void ToWords(const float* values, int64_t count, float factor, int16_t* words) {
  for (int64_t i = 0; i < count; ++i) {
    const float shifted = values[i] * factor + kShift;
    int32_t bits;
    std::memcpy(&bits, &shifted, sizeof(bits));
    words[i] = static_cast<int16_t>(bits);
  }
}

void WidenRanges(const float* row, int64_t pixels, int channels, float* least, float* most) {
  float all_least[kMostValues], all_most[kMostValues];
  Repeat(least, channels, all_least);
  Repeat(most, channels, all_most);
  for (; pixels > 0; pixels -= kPixels, row += kPixels * channels) {
    Widen(row, static_cast<int>(std::min<int64_t>(pixels, kPixels)) * channels, all_least, all_most);
  }
  for (int i = 0; i < kPixels; ++i) {
    for (int c = 0; c < channels; ++c) {
      least[c] = std::min(least[c], all_least[i * channels + c]);
      most[c] = std::max(most[c], all_most[i * channels + c]);
    }
  }
}

bool ToBytes(const float* row, int64_t pixels, int channels, float factor, const int32_t* least,
             uint8_t* bytes) {
  int32_t all_least[kMostValues];
  Repeat(least, channels, all_least);
  for (; pixels > 0; pixels -= kPixels, row += kPixels * channels, bytes += kPixels * channels) {
    const int count = static_cast<int>(std::min<int64_t>(pixels, kPixels)) * channels;
    if (!SomeToBytes(row, count, factor, all_least, bytes)) return false;
  }
  return true;
}

}  // namespace lowbit
}  // namespace caffe
