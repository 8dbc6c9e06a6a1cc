#include "caffe/lowbit/binary_weights.hpp"

#include <cstring>

namespace caffe {
namespace lowbit {

namespace {

constexpr size_t kOutputs = BinaryKernel::kOutputs;

// A word of the bits of `outputs` rows, `channels` of each.
uint64_t PackWord(const uint8_t* bits, size_t stride, int outputs, int channels) {
  uint64_t word = 0;
  for (int output = 0; output < outputs; ++output) {
    for (int channel = 0; channel < channels; ++channel) {
      word |= uint64_t{bits[output * stride + channel]} << (output * channels + channel);
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

size_t QuadWeightBytes(int total_units) { return total_units * (kOutputs / kQuadGroup * kQuadGroupBytes); }

void PackQuadWeights(const uint8_t* bits, const Window& window, uint8_t* weights) {
  PackWords(bits, window.total_units, 4, kQuadGroup, weights);
}

size_t WordWeightBytes(int total_units) { return total_units * (kOutputs / kWordGroup * kWordGroupBytes); }

void PackWordWeights(const uint8_t* bits, const Window& window, uint8_t* weights) {
  PackWords(bits, window.total_units, 64, kWordGroup, weights);
}

}  // namespace lowbit
}  // namespace caffe
