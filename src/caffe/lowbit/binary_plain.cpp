// The definition of a binary kernel.
#include <cstring>

#include "caffe/lowbit/binary_kernels.hpp"

namespace caffe {
namespace lowbit {

namespace {

constexpr int kOutputs = BinaryKernel::kOutputs;

bool IsAvailable() { return true; }

// A channel's weights are one word: bit o is that of output o.
size_t WeightBytes(const Window& window) {
  return static_cast<size_t>(window.total_units) * 4 * sizeof(uint64_t);
}

void PackWeights(const uint8_t* bits, const Window& window, uint8_t* weights) {
  const int channels = window.total_units * 4;
  for (int channel = 0; channel < channels; ++channel) {
    uint64_t word = 0;
    for (int output = 0; output < kOutputs; ++output) {
      word |= uint64_t{bits[static_cast<size_t>(output) * channels + channel]} << output;
    }
    std::memcpy(weights + channel * sizeof(word), &word, sizeof(word));
  }
}

template <typename Sum>
void SumPixel(const uint8_t* pixel, const Window& window, const uint8_t* weights, Sum* sums) {
  for (int output = 0; output < kOutputs; ++output) sums[output] = 0;
  for (int piece = 0; piece < window.pieces; ++piece) {
    const uint8_t* const digits = pixel + window.offsets[piece];
    for (int channel = 0; channel < window.units[piece] * 4; ++channel) {
      uint64_t word;
      std::memcpy(&word, weights, sizeof(word));
      weights += sizeof(word);
      for (int output = 0; output < kOutputs; ++output) {
        if (word >> output & 1) sums[output] = static_cast<Sum>(sums[output] + digits[channel]);
      }
    }
  }
}

template <typename Sum>
void SumPixels(const uint8_t* const* pixels, int count, const Window& window, const uint8_t* weights,
               uint8_t*, Sum* sums) {
  for (int p = 0; p < count; ++p) SumPixel(pixels[p], window, weights, sums + p * kOutputs);
}

}  // namespace

const BinaryKernel kPlain = {"plain",     Packing::kBytes, false,     IsAvailable, {1, 1, 1}, 16,
                             WeightBytes, PackWeights,     SumPixels, SumPixels,   nullptr};

}  // namespace lowbit
}  // namespace caffe
