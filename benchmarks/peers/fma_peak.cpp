// Prints how many float32 multiply-adds a nanosecond one core does in registers.
//
// Compiled by the benchmark with -O3 -march=native.
#include <chrono>
#include <cstdio>

namespace {

#ifdef __AVX512F__
constexpr int kLanes = 16, kChains = 24;
#else
constexpr int kLanes = 8, kChains = 12;
#endif
typedef float Vector __attribute__((vector_size(kLanes * sizeof(float))));

constexpr int kSteps = 1 << 20;

// Enough chains that none waits for its own last result.
float Run(float factor) {
  Vector sums[kChains], factors;
  for (int lane = 0; lane < kLanes; ++lane) factors[lane] = factor;
  for (Vector& sum : sums) sum = factors;
  for (int step = 0; step < kSteps; ++step) {
#pragma GCC unroll 24
    for (int chain = 0; chain < kChains; ++chain) sums[chain] = sums[chain] * factors + factors;
  }
  float result = 0;
  for (const Vector& sum : sums) result += sum[0];
  return result;
}

}  // namespace

int main(int arguments, char**) {
  double best = 0;
  float kept = 0;
  for (int run = 0; run < 20; ++run) {
    const auto start = std::chrono::steady_clock::now();
    kept += Run(0.5f * static_cast<float>(arguments));
    const std::chrono::duration<double, std::nano> time = std::chrono::steady_clock::now() - start;
    const double rate = static_cast<double>(kSteps) * kChains * kLanes / time.count();
    if (rate > best) best = rate;
  }
  std::printf("%.1f\n", best);
  return kept == 1;
}
