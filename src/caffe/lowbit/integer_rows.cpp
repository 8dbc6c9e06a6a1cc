#include "caffe/lowbit/integer_rows.hpp"

#include <algorithm>
#include <cstring>

#include "caffe/util/target_clones.hpp"

namespace caffe {
namespace lowbit {

namespace {

// Numbers between 2^23 and 2^24 have no fraction, and the integer in their lowest bits.
constexpr float kShift = 12582912.f;

// Values of interleaved channels are taken by so many at once that vectors have the same channels each time.
constexpr int kPixels = 16, kMostValues = kPixels * kMostByteChannels;

// What is given for each channel, for each of kPixels pixels.
template <typename Value>
void Repeat(const Value* of_channels, int channels, Value* of_pixels) {
  for (int i = 0; i < kPixels; ++i) std::copy_n(of_channels, channels, of_pixels + i * channels);
}

// `values` by as many as `most_at_once`; those that come first in a row come first in `least` and `most`.
CAFFE_TARGET_CLONES void Widen(const float* values, int64_t count, int most_at_once, float* least,
                               float* most) {
  for (int64_t start = 0; start < count; start += most_at_once) {
    const int some = static_cast<int>(count - start < most_at_once ? count - start : most_at_once);
    for (int i = 0; i < some; ++i) {
      const float value = values[start + i];
      least[i] = value < least[i] ? value : least[i];
      most[i] = value > most[i] ? value : most[i];
    }
  }
}

CAFFE_TARGET_CLONES bool AllToBytes(const float* values, int64_t count, int most_at_once, float factor,
                                    const int32_t* least, uint8_t* bytes) {
  for (int64_t start = 0; start < count; start += most_at_once) {
    const int some = static_cast<int>(count - start < most_at_once ? count - start : most_at_once);
    int32_t fractions = 0;
    for (int i = 0; i < some; ++i) {
      const float scaled = values[start + i] * factor, shifted = scaled + kShift;
      fractions |= shifted - kShift != scaled;
      int32_t bits;
      std::memcpy(&bits, &shifted, sizeof(bits));
      bytes[start + i] = static_cast<uint8_t>(bits - least[i]);
    }
    if (fractions) return false;
  }
  return true;
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
  Widen(row, pixels * channels, kPixels * channels, all_least, all_most);
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
  return AllToBytes(row, pixels * channels, kPixels * channels, factor, all_least, bytes);
}

}  // namespace lowbit
}  // namespace caffe
