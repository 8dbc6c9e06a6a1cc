#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "caffe/util/device_alternate.hpp"
#include "caffe/util/image.hpp"

namespace caffe {

namespace {

constexpr int kWeightBits = 11;
constexpr int kOne = 1 << kWeightBits;

/// Where an output row or column takes its two inputs, and their weights in fixed point.
struct Tap {
  int first;
  int second;
  int first_weight;
  int second_weight;
};

/// At the borders OpenCV gives columns one input of full weight, and rows the same input twice, whose
/// rounding differs: `clamp_weights` tells which.
vector<Tap> MakeTaps(int in, int out, bool clamp_weights) {
  const double scale = 1. / (static_cast<double>(out) / in);
  vector<Tap> taps(out);
  for (int i = 0; i < out; ++i) {
    const float position = static_cast<float>((i + 0.5) * scale - 0.5);
    int first = static_cast<int>(std::floor(position));
    float fraction = position - first;
    if (clamp_weights && (first < 0 || first >= in - 1)) fraction = 0;
    // lrint rounds halves to even, as OpenCV does.
    taps[i] = {std::clamp(first, 0, in - 1), std::clamp(first + 1, 0, in - 1),
               static_cast<int>(std::lrint((1.f - fraction) * kOne)),
               static_cast<int>(std::lrint(fraction * kOne))};
  }
  return taps;
}

/// The common number of channels is known to the compiler.
template <int kChannels>
void ResizeRow(const uint8_t* in, int channels, const vector<Tap>& taps, int* out) {
  if (kChannels > 0) channels = kChannels;
  for (const Tap& tap : taps) {
    const uint8_t* first = in + tap.first * channels;
    const uint8_t* second = in + tap.second * channels;
    for (int c = 0; c < channels; ++c) *out++ = first[c] * tap.first_weight + second[c] * tap.second_weight;
  }
}

void ResizeRow(const uint8_t* in, int channels, const vector<Tap>& taps, int* out) {
  (channels == 3 ? ResizeRow<3> : channels == 1 ? ResizeRow<1> : ResizeRow<0>)(in, channels, taps, out);
}

CAFFE_TARGET_CLONES void BlendRows(const int* first, int first_weight, const int* second, int second_weight,
                                   size_t count, uint8_t* out) {
  for (size_t i = 0; i < count; ++i) {
    // 4 of the 22 fraction bits go first and 16 after the product, so that it fits 16-bit vector
    // arithmetic.
    const int sum = ((first_weight * (first[i] >> 4)) >> 16) + ((second_weight * (second[i] >> 4)) >> 16);
    out[i] = static_cast<uint8_t>((sum + 2) >> 2);
  }
}

Image Halve(const Image& image) {
  Image half(image.height / 2, image.width / 2, image.channels);
  const int channels = image.channels;
  for (int y = 0; y < half.height; ++y) {
    const uint8_t* upper = image.row(2 * y);
    const uint8_t* lower = image.row(2 * y + 1);
    uint8_t* out = half.row(y);
    for (int x = 0; x < half.width; ++x, upper += 2 * channels, lower += 2 * channels) {
      for (int c = 0; c < channels; ++c) {
        *out++ = (upper[c] + upper[c + channels] + lower[c] + lower[c + channels] + 2) >> 2;
      }
    }
  }
  return half;
}

}  // namespace

Image ResizeImage(const Image& image, int height, int width) {
  CHECK(image.height > 0 && image.width > 0) << "an image without pixels cannot be resized";
  CHECK(height > 0 && width > 0) << "an image cannot be resized to " << width << " x " << height << " pixels";
  if (height == image.height && width == image.width) return image;
  if (image.height == 2 * height && image.width == 2 * width) return Halve(image);

  const vector<Tap> columns = MakeTaps(image.width, width, true);
  const vector<Tap> rows = MakeTaps(image.height, height, false);
  Image resized(height, width, image.channels);
  // The two input rows at hand, resized in width; neighboring output rows share them.
  vector<int> first(resized.row_bytes()), second(resized.row_bytes());
  int first_at = -1, second_at = -1;
  for (int y = 0; y < height; ++y) {
    const Tap& tap = rows[y];
    if (tap.first == second_at) {
      first.swap(second);
      std::swap(first_at, second_at);
    }
    if (tap.first != first_at)
      ResizeRow(image.row(first_at = tap.first), image.channels, columns, first.data());
    if (tap.second != second_at)
      ResizeRow(image.row(second_at = tap.second), image.channels, columns, second.data());
    BlendRows(first.data(), tap.first_weight, second.data(), tap.second_weight, first.size(), resized.row(y));
  }
  return resized;
}

}  // namespace caffe
