#include <cstring>

#include "caffe/lowbit/int8_kernel.hpp"

namespace caffe {
namespace lowbit {

namespace {

constexpr int kUnitBytes = 4, kStrip = 8;

bool AlwaysAvailable() { return true; }

template <typename Value>
void SumPlain(const uint8_t* const* pixels, int count, const Window& window, const int8_t* weights,
              int strips, const int32_t* const* starts, const float* units, const float* scales, uint8_t*,
              float* sums) {
  constexpr int kValues = kUnitBytes / sizeof(Value);
  for (int p = 0; p < count; ++p) {
    for (int output = 0; output < strips * kStrip; ++output) {
      const int8_t* w =
          weights + (int64_t{output / kStrip} * window.total_units * kStrip + output % kStrip) * kValues;
      int32_t sum = starts[p][output];
      for (int piece = 0; piece < window.pieces; ++piece) {
        const uint8_t* at = pixels[p] + window.offsets[piece];
        for (int unit = 0; unit < window.units[piece]; ++unit, at += kUnitBytes, w += kStrip * kValues) {
          Value values[kValues];
          std::memcpy(values, at, sizeof(values));
          for (int i = 0; i < kValues; ++i) sum += w[i] * values[i];
        }
      }
      sums[p * Int8Kernel::kOutputs + output] = units[p] * static_cast<float>(sum) * scales[output];
    }
  }
}

}  // namespace

const Int8Kernel kInt8Plain = {"int8_plain",
                               AlwaysAvailable,
                               24,
                               {kUnitBytes, kStrip, nullptr, SumPlain<int16_t>},
                               {kUnitBytes, kStrip, nullptr, SumPlain<uint8_t>}};

}  // namespace lowbit
}  // namespace caffe
