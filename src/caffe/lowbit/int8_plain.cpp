#include "caffe/lowbit/int8_kernel.hpp"

namespace caffe {
namespace lowbit {

namespace {

constexpr int kStrip = 8;

bool AlwaysAvailable() { return true; }

void Sums(const int16_t* const* pixels, int count, const Window& window, const int8_t* weights, int strips,
          const float* units, const float* scales, float* sums) {
  for (int p = 0; p < count; ++p) {
    for (int output = 0; output < strips * kStrip; ++output) {
      const int8_t* w = weights + int64_t{output / kStrip} * window.total_units * 2 * kStrip;
      int32_t sum = 0;
      for (int piece = 0; piece < window.pieces; ++piece) {
        const int16_t* x = pixels[p] + window.offsets[piece] / static_cast<int>(sizeof(int16_t));
        for (int unit = 0; unit < window.units[piece]; ++unit, w += 2 * kStrip) {
          const int8_t* const two = w + 2 * (output % kStrip);
          sum += two[0] * x[2 * unit] + two[1] * x[2 * unit + 1];
        }
      }
      sums[p * Int8Kernel::kOutputs + output] = units[p] * static_cast<float>(sum) * scales[output];
    }
  }
}

}  // namespace

const Int8Kernel kInt8Plain = {"int8_plain", AlwaysAvailable, kStrip, Sums};

}  // namespace lowbit
}  // namespace caffe
