#include "caffe/lowbit/integer_rows.hpp"

#include <algorithm>
#include <cstring>

#include "caffe/util/target_clones.hpp"

namespace caffe {
namespace lowbit {

namespace {

// Numbers between 2^23 and 2^24 have no fraction, and the integer in their lowest bits.
constexpr float kShift = 12582912.f;

// Values of interleaved channels are taken by so many pixels at once, a power of two, that vectors have the
// same channels each time: vectors of floats, and longer ones of bytes.
constexpr int kFloatPixels = 16, kBytePixels = 32;

// The ranges of `channels` channels, of `values` by as many as `at_once`; there is room for as many ranges.
CAFFE_TARGET_CLONES void Widen(const float* values, int64_t count, int channels, int at_once, float* least,
                               float* most) {
  for (int i = 0; i < at_once; ++i) least[i] = most[i] = 0;
  for (int64_t start = 0; start < count; start += at_once) {
    const int some = static_cast<int>(count - start < at_once ? count - start : at_once);
    for (int i = 0; i < some; ++i) {
      const float value = values[start + i];
      least[i] = value < least[i] ? value : least[i];
      most[i] = value > most[i] ? value : most[i];
    }
  }
  for (int half = at_once / 2; half >= channels; half /= 2) {
    for (int i = 0; i < half; ++i) {
      least[i] = least[i + half] < least[i] ? least[i + half] : least[i];
      most[i] = most[i + half] > most[i] ? most[i + half] : most[i];
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

void FindRanges(const float* row, int64_t pixels, int channels, float* least, float* most) {
  float all_least[kFloatPixels * kMostByteChannels], all_most[kFloatPixels * kMostByteChannels];
  Widen(row, pixels * channels, channels, kFloatPixels * channels, all_least, all_most);
  std::copy_n(all_least, channels, least);
  std::copy_n(all_most, channels, most);
}

bool ToBytes(const float* row, int64_t pixels, int channels, float factor, const int32_t* least,
             uint8_t* bytes) {
  int32_t all_least[kBytePixels * kMostByteChannels];
  std::copy_n(least, channels, all_least);
  for (int known = 1; known < kBytePixels; known *= 2) {
    std::copy_n(all_least, known * channels, all_least + known * channels);
  }
  return AllToBytes(row, pixels * channels, kBytePixels * channels, factor, all_least, bytes);
}

}  // namespace lowbit
}  // namespace caffe
