// Multiply-adds a nanosecond of every binary kernel that this processor has, on one core: 3x3 windows over a
// row of pixels, in the caches. The kernels' rates come from here.
//
//   cmake --build build --target binary_kernels_benchmark && build/benchmarks/binary_kernels
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "caffe/lowbit/binary_kernel.hpp"

namespace {

using caffe::lowbit::BinaryKernel;

constexpr int kOutputs = BinaryKernel::kOutputs, kKernelSize = 3;

// 64-byte aligned memory.
class Memory {
 public:
  explicit Memory(size_t size) : bytes_(size + 64) {}
  uint8_t* data() { return bytes_.data() + (64 - reinterpret_cast<uintptr_t>(bytes_.data()) % 64) % 64; }

 private:
  std::vector<uint8_t> bytes_;
};

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The shortest of several runs of about 20 milliseconds.
template <typename Function>
double SecondsOf(const Function& function) {
  int calls = 1;
  double best = 0;
  for (int run = 0; run < 7; ++run) {
    const auto start = std::chrono::steady_clock::now();
    for (int call = 0; call < calls; ++call) function();
    const double seconds = SecondsSince(start);
    if (run == 0 || seconds / calls < best) best = seconds / calls;
    if (seconds < 0.02) calls = static_cast<int>(calls * 0.02 / seconds) + 1;
  }
  return best;
}

double Rate(const BinaryKernel& kernel, int channels, int pixels) {
  const int unit_channels = caffe::lowbit::ChannelsOfUnit(kernel.packing);
  const int units = (channels + unit_channels - 1) / unit_channels;
  const int pixel_bytes = units * caffe::lowbit::BytesOfUnit(kernel.packing);
  const int row_bytes = (pixels + kKernelSize - 1) * pixel_bytes;
  std::vector<int32_t> offsets, lengths;
  for (int row = 0; row < kKernelSize; ++row) {
    offsets.push_back(row * row_bytes);
    lengths.push_back(kKernelSize * units);
  }
  const int total_units = kKernelSize * kKernelSize * units;
  const caffe::lowbit::Window window = {offsets.data(), lengths.data(), kKernelSize,
                                        total_units,    offsets.data(), kKernelSize,
                                        kKernelSize,    units,          pixel_bytes};

  Memory digits(kKernelSize * row_bytes + BinaryKernel::kReadAhead);
  std::vector<const uint8_t*> starts;
  for (int p = 0; p < pixels; ++p) starts.push_back(digits.data() + p * pixel_bytes);
  std::vector<uint8_t> bits(static_cast<size_t>(kOutputs) * total_units * unit_channels);
  for (size_t i = 0; i < bits.size(); ++i) bits[i] = i * 40503 >> 7 & 1;
  Memory weights(kernel.weight_bytes(window));
  kernel.pack_weights(bits.data(), window, weights.data());
  Memory scratch(kernel.scratch_bytes ? kernel.scratch_bytes(total_units) : 0);
  std::vector<uint16_t> sums(static_cast<size_t>(pixels) * kOutputs);

  const double seconds = SecondsOf(
      [&] { kernel.sums16(starts.data(), pixels, window, weights.data(), scratch.data(), sums.data()); });
  return 1e-9 * kOutputs * kKernelSize * kKernelSize * channels * pixels / seconds;
}

}  // namespace

int main() {
  std::printf(
      "multiply-adds a nanosecond      64 channels                  256 channels                 1024 "
      "channels\n"
      "kernel           rate  pixels:     1     8    56   224          1     8    56   224          1     8  "
      "  "
      "56   224\n");
  for (const BinaryKernel* kernel : caffe::lowbit::BinaryKernels()) {
    if (!kernel->available()) continue;
    std::printf("%-15s %5.0f        ", kernel->name, kernel->rates.beside);
    for (const int channels : {64, 256, 1024}) {
      for (const int pixels : {1, 8, 56, 224}) std::printf(" %5.0f", Rate(*kernel, channels, pixels));
      std::printf("     ");
    }
    std::printf("\n");
  }
  return 0;
}
