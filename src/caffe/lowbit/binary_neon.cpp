// Sums by table look-up, as binary_avx2_lookup.cpp, 16 outputs at a time. Counting bits would take half as
// many instructions again. For 64-bit ARM.
#include <arm_neon.h>

#include <cstring>

#include "caffe/lowbit/binary_kernels.hpp"
#include "caffe/lowbit/binary_weights.hpp"
#include "caffe/lowbit/cpu_features.hpp"
#include "caffe/lowbit/digit_tables.hpp"

namespace caffe {
namespace lowbit {

namespace {

constexpr int kOutputs = BinaryKernel::kOutputs;
// What a unit adds at most, and how many units fit into sums of 8 and 16 bits.
constexpr int kLargestSum = 12;
constexpr int kUnitsOfByteSum = 255 / kLargestSum, kUnitsOfSum16 = 65535 / kLargestSum;
// As many as have their sums in registers.
constexpr int kMostPixels = 4;

int Min(int a, int b) { return a < b ? a : b; }

int LaneOfOutput(int output) { return output; }

void PackWeights(const uint8_t* bits, const Window& window, uint8_t* weights) {
  PackHalfByteWeights(bits, window, LaneOfOutput, weights);
}

uint8x16_t TableOfUnit(const uint8_t* unit) {
  uint16_t offset;
  std::memcpy(&offset, unit, sizeof(offset));
  return vld1q_u8(&kDigitSums.sums[0][0] + offset);
}

// Sums of bytes of all outputs of a pixel, 16 in a register.
struct ByteSums {
  uint8x16_t bytes[4];

  void Clear() {
    for (uint8x16_t& lanes : bytes) lanes = vdupq_n_u8(0);
  }

  void Add(uint8x16_t table, const uint8x16_t* index) {
    for (int i = 0; i < 4; ++i) bytes[i] = vaddq_u8(bytes[i], vqtbl1q_u8(table, index[i]));
  }

  void AddTo(uint16_t* sums) const {
    for (int i = 0; i < 4; ++i, sums += 16) {
      vst1q_u16(sums, vaddw_u8(vld1q_u16(sums), vget_low_u8(bytes[i])));
      vst1q_u16(sums + 8, vaddw_u8(vld1q_u16(sums + 8), vget_high_u8(bytes[i])));
    }
  }
};

// Adds the sums of kPixels pixels over at most kUnitsOfByteSum units.
template <int kPixels>
void AddUnits(const uint8_t* const* digits, int units, const uint8_t* weights, ByteSums* bytes) {
  const uint8x16_t low_half = vdupq_n_u8(0x0f);
  for (int unit = 0; unit < units; ++unit, weights += kHalfByteUnitBytes) {
    const uint8x16_t first = vld1q_u8(weights), second = vld1q_u8(weights + 16);
    const uint8x16_t index[4] = {vandq_u8(first, low_half), vandq_u8(second, low_half), vshrq_n_u8(first, 4),
                                 vshrq_n_u8(second, 4)};
    for (int p = 0; p < kPixels; ++p) bytes[p].Add(TableOfUnit(digits[p] + 2 * unit), index);
  }
}

// Sums of kPixels pixels over the units [begin, end) of a window, at most kUnitsOfSum16.
template <int kPixels>
void SumUnits(const uint8_t* const* pixels, const Window& window, int begin, int end, const uint8_t* weights,
              uint16_t* sums) {
  std::memset(sums, 0, sizeof(*sums) * kOutputs * kPixels);
  ByteSums bytes[kPixels];
  for (int p = 0; p < kPixels; ++p) bytes[p].Clear();
  int room = kUnitsOfByteSum;
  int first_of_piece = 0;
  for (int piece = 0; piece < window.pieces && first_of_piece < end; ++piece) {
    const int stop = Min(first_of_piece + window.units[piece], end);
    while (begin < stop) {
      const int units = Min(stop - begin, room);
      const uint8_t* digits[kPixels];
      for (int p = 0; p < kPixels; ++p) {
        digits[p] = pixels[p] + window.offsets[piece] + 2 * (begin - first_of_piece);
      }
      AddUnits<kPixels>(digits, units, weights + static_cast<size_t>(begin) * kHalfByteUnitBytes, bytes);
      begin += units;
      room -= units;
      if (room > 0 && begin < end) continue;
      for (int p = 0; p < kPixels; ++p) {
        bytes[p].AddTo(sums + p * kOutputs);
        bytes[p].Clear();
      }
      room = kUnitsOfByteSum;
    }
    first_of_piece += window.units[piece];
  }
}

// For 1 to kMost pixels.
template <int kMost>
void SumFewPixels(const uint8_t* const* pixels, int count, const Window& window, int begin, int end,
                  const uint8_t* weights, uint16_t* sums) {
  if constexpr (kMost > 1) {
    if (count < kMost) return SumFewPixels<kMost - 1>(pixels, count, window, begin, end, weights, sums);
  }
  SumUnits<kMost>(pixels, window, begin, end, weights, sums);
}

void Sums16(const uint8_t* const* pixels, int count, const Window& window, const uint8_t* weights, uint8_t*,
            uint16_t* sums) {
  for (int p = 0; p < count; p += kMostPixels) {
    SumFewPixels<kMostPixels>(pixels + p, Min(count - p, kMostPixels), window, 0, window.total_units, weights,
                              sums + p * kOutputs);
  }
}

void Sums32(const uint8_t* const* pixels, int count, const Window& window, const uint8_t* weights, uint8_t*,
            uint32_t* sums) {
  std::memset(sums, 0, sizeof(*sums) * kOutputs * count);
  for (int p = 0; p < count; p += kMostPixels, sums += kMostPixels * kOutputs) {
    const int turn = Min(count - p, kMostPixels);
    for (int begin = 0; begin < window.total_units; begin += kUnitsOfSum16) {
      const int end = Min(begin + kUnitsOfSum16, window.total_units);
      uint16_t part[kMostPixels * kOutputs];
      SumFewPixels<kMostPixels>(pixels + p, turn, window, begin, end, weights, part);
      for (int i = 0; i < turn * kOutputs; ++i) sums[i] += part[i];
    }
  }
}

}  // namespace

const BinaryKernel kNeon = {"neon", Packing::kOffsets,   false,       HasNeon, {150, 75, 150},
                            16,     HalfByteWeightBytes, PackWeights, Sums16,  Sums32,
                            nullptr};

}  // namespace lowbit
}  // namespace caffe
