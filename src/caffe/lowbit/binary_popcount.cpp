// Sums by counting bits: 64 channels at a time, those whose digit has the low bit and a positive weight once,
// those with the high bit twice. Portable; fast where the compiler has an instruction for the count.
#include <cstring>

#include "caffe/lowbit/binary_kernels.hpp"
#include "caffe/lowbit/binary_weights.hpp"
#include "caffe/lowbit/cpu_features.hpp"

namespace caffe {
namespace lowbit {

namespace {

uint64_t LoadWord(const uint8_t* at) {
  uint64_t word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

template <typename Sum>
void SumGroup(const uint8_t* pixel, const Window& window, const uint8_t* weights, Sum* sums) {
  uint64_t counts[kWordGroup] = {};
  for (int piece = 0; piece < window.pieces; ++piece) {
    const uint8_t* unit = pixel + window.offsets[piece];
    for (int left = window.units[piece]; left > 0; --left, unit += 16) {
      const uint64_t low = LoadWord(unit), high = LoadWord(unit + 8);
      for (int output = 0; output < kWordGroup; ++output, weights += 8) {
        const uint64_t word = LoadWord(weights);
        counts[output] += __builtin_popcountll(word & low) + 2 * __builtin_popcountll(word & high);
      }
    }
  }
  for (int output = 0; output < kWordGroup; ++output) sums[output] = static_cast<Sum>(counts[output]);
}

template <typename Sum>
void SumPixels(const uint8_t* const* pixels, int count, const Window& window, const uint8_t* weights,
               uint8_t*, Sum* sums) {
  for (int first = 0; first < BinaryKernel::kOutputs; first += kWordGroup) {
    for (int p = 0; p < count; ++p) {
      SumGroup(pixels[p], window, weights, sums + p * BinaryKernel::kOutputs + first);
    }
    weights += static_cast<size_t>(window.total_units) * kWordGroupBytes;
  }
}

}  // namespace

const BinaryKernel kPopcount64 = {
    "popcount64",    Packing::kPlanes, false,     HasPopcount, {100, 100, 100}, 16,
    WordWeightBytes, PackWordWeights,  SumPixels, SumPixels,   nullptr};

}  // namespace lowbit
}  // namespace caffe
