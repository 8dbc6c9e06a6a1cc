#include "caffe/lowbit/binary_weights.hpp"

#include <cstring>

#include "caffe/lowbit/bit_bytes.hpp"

namespace caffe {
namespace lowbit {

namespace {

constexpr size_t kOutputs = BinaryKernel::kOutputs;

uint64_t FourBits(const uint8_t* bits) {
  uint32_t bytes;
  std::memcpy(&bytes, bits, sizeof(bytes));
  return GatherBits(bytes);
}

uint64_t EightBits(const uint8_t* bits) {
  uint64_t bytes;
  std::memcpy(&bytes, bits, sizeof(bytes));
  return GatherBits(bytes);
}

// A word of the bits of `outputs` rows, `channels` of each: 4 or a multiple of 8.
uint64_t PackWord(const uint8_t* bits, size_t stride, int outputs, int channels) {
  uint64_t word = 0;
  for (int output = 0; output < outputs; ++output, bits += stride) {
    if (channels == 4) word |= FourBits(bits) << 4 * output;
    for (int channel = 0; channel + 8 <= channels; channel += 8) {
      word |= EightBits(bits + channel) << (output * channels + channel);
    }
  }
  return word;
}

// Words of 64 bits, each of some outputs of a group, for every unit of every group.
void PackWords(const uint8_t* bits, size_t units, int channels, size_t group, uint8_t* weights) {
  const size_t outputs = 64 / channels, stride = units * channels;
  for (size_t first = 0; first < kOutputs; first += group) {
    for (size_t unit = 0; unit < units; ++unit) {
      for (size_t output = first; output < first + group; output += outputs) {
        const uint64_t word =
            PackWord(bits + output * stride + unit * channels, stride, static_cast<int>(outputs), channels);
        std::memcpy(weights, &word, sizeof(word));
        weights += sizeof(word);
      }
    }
  }
}

}  // namespace

size_t QuadWeightBytes(const Window& window) {
  return window.total_units * (kOutputs / kQuadGroup * kQuadGroupBytes);
}

void PackQuadWeights(const uint8_t* bits, const Window& window, uint8_t* weights) {
  PackWords(bits, window.total_units, 4, kQuadGroup, weights);
}

size_t WordWeightBytes(const Window& window) {
  return window.total_units * (kOutputs / kWordGroup * kWordGroupBytes);
}

void PackWordWeights(const uint8_t* bits, const Window& window, uint8_t* weights) {
  PackWords(bits, window.total_units, 64, kWordGroup, weights);
}

size_t HalfByteWeightBytes(const Window& window) {
  return static_cast<size_t>(window.total_units) * kHalfByteUnitBytes;
}

void PackHalfByteWeights(const uint8_t* bits, const Window& window, int (*lane_of_output)(int),
                         uint8_t* weights) {
  std::memset(weights, 0, HalfByteWeightBytes(window));
  for (int output = 0; output < BinaryKernel::kOutputs; ++output) {
    const int lane = lane_of_output(output), shift = lane < kHalfByteUnitBytes ? 0 : 4;
    uint8_t* at = weights + lane % kHalfByteUnitBytes;
    for (int unit = 0; unit < window.total_units; ++unit, bits += 4, at += kHalfByteUnitBytes) {
      *at = static_cast<uint8_t>(*at | FourBits(bits) << shift);
    }
  }
}

}  // namespace lowbit
}  // namespace caffe
