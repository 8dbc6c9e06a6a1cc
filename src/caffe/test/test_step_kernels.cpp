#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "caffe/lowbit/step_kernel.hpp"
#include "caffe/test/emulated_kernels.hpp"

namespace caffe {
namespace lowbit {

namespace {

constexpr int kOutputs = Sums16::kOutputs;

// All but the plain one.
std::vector<const StepKernel*> KernelsToTest() {
  std::vector<const StepKernel*> kernels = EmulatedStepKernels();
  for (const StepKernel* kernel : StepKernels()) {
    if (kernel != &kStepPlain && kernel->available()) kernels.push_back(kernel);
  }
  return kernels;
}

std::vector<const StepKernel*> AllKernels() {
  std::vector<const StepKernel*> kernels = KernelsToTest();
  kernels.push_back(&kStepPlain);
  return kernels;
}

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}

  int Integer(int least, int most) { return std::uniform_int_distribution<int>(least, most)(engine_); }

  template <typename T>
  std::vector<T> Integers(size_t count, int least, int most) {
    std::vector<T> values(count);
    for (T& value : values) value = static_cast<T>(Integer(least, most));
    return values;
  }

  // Small ones, so that thresholds are met, and some of those with a mind of their own.
  std::vector<float> Floats(size_t count) {
    constexpr float kOdd[] = {0.f, -0.f, 1.f, -1.f, 1e-42f, -1e-42f, 3e38f, -3e38f, 0.5f};
    std::vector<float> values(count);
    for (float& value : values) {
      value = Integer(0, 3) ? static_cast<float>(Integer(-40, 40)) / 8 : kOdd[Integer(0, 8)];
      if (Integer(0, 2) == 0) value *= 1.1f;
    }
    return values;
  }

 private:
  std::mt19937 engine_;
};

// A kernel's sums, with digits and constants that have values of all sizes; or those of one with signs.
struct SomeSums {
  SomeSums(int pixels, int most, Random* random)
      : sums(random->Integers<int16_t>(static_cast<size_t>(pixels) * kOutputs, 0, most)),
        factor(random->Integer(1, 2)),
        digit_sums(random->Integers<int32_t>(pixels, 0, most)),
        constants(random->Integers<int16_t>(kOutputs, -most / 2, 0)) {
    for (int p = 0; p < pixels; ++p) {
      for (int o = 0; o < kOutputs; ++o) {
        int16_t& sum = sums[p * kOutputs + o];
        if (factor == 2) {
          sum = static_cast<int16_t>(sum % (digit_sums[p] + 1));
        } else if (random->Integer(0, 1)) {
          sum = static_cast<int16_t>(-sum);
        }
      }
      if (factor == 1) digit_sums[p] = 0;
    }
  }

  Sums16 values() const { return {sums.data(), factor, digit_sums.data(), constants.data()}; }

  std::vector<int16_t> sums;
  int factor;
  std::vector<int32_t> digit_sums;
  std::vector<int16_t> constants;
};

// A tail of some parts, with arrays that end where they have to, and results in rows longer than needed.
struct SomeTail {
  SomeTail(int pixels, int channels, int thresholds, float slope, bool adds, bool keeps, Random* random)
      : a(random->Floats(channels)),
        b(random->Floats(channels)),
        g(random->Floats(channels)),
        h(random->Floats(channels)),
        t(random->Floats(thresholds)),
        stride(channels + random->Integer(0, 3)),
        // The last row is not longer.
        shortcut(random->Floats(static_cast<size_t>(pixels - 1) * stride + channels)),
        kept(keeps ? shortcut.size() : 0, 7.f),
        codes(thresholds > 0 ? shortcut.size() : 0, uint8_t{77}) {
    tail.pixels = pixels;
    tail.channels = channels;
    tail.a = a.data();
    tail.b = b.data();
    tail.g = g.data();
    tail.h = h.data();
    if (adds) tail.shortcut = {shortcut.data(), stride};
    tail.slope = slope;
    tail.thresholds = t.data();
    tail.threshold_count = thresholds;
  }

  // What is written: the kept values' bytes, then the codes.
  template <typename Function>
  std::vector<uint8_t> Results(Function run) {
    std::vector<float> kept_now = kept;
    std::vector<uint8_t> codes_now = codes;
    if (!kept.empty()) tail.kept = {kept_now.data(), stride};
    if (!codes.empty()) tail.codes = {codes_now.data(), stride};
    run(tail);
    std::vector<uint8_t> results(kept.size() * sizeof(float));
    if (!kept.empty()) std::memcpy(results.data(), kept_now.data(), results.size());
    results.insert(results.end(), codes_now.begin(), codes_now.end());
    return results;
  }

  const std::vector<float> a, b, g, h, t;
  const int stride;
  const std::vector<float> shortcut, kept;
  const std::vector<uint8_t> codes;
  Tail tail = {};
};

// Calls check(pixels, channels, random) for odd shapes and those that vectors are made for.
template <typename Check>
void EachShape(int most_channels, Check check) {
  unsigned seed = 0;
  for (const int channels : {1, 7, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 96, 130, 192}) {
    if (channels > most_channels) break;
    for (const int pixels : {1, 2, 9}) {
      SCOPED_TRACE(std::to_string(channels) + " channels, " + std::to_string(pixels) + " pixels");
      Random random(++seed);
      check(pixels, channels, &random);
      if (testing::Test::HasFailure()) return;
    }
  }
}

// Calls check(tail) for tails of all parts.
template <typename Check>
void EachTail(int pixels, int channels, Random* random, Check check) {
  for (const int thresholds : {0, 1, 3, 15}) {
    for (const float slope : {1.f, 0.f, 0.25f, -1.f}) {
      for (const bool adds : {false, true}) {
        for (const bool keeps : {false, true}) {
          if (!keeps && thresholds == 0) continue;
          SCOPED_TRACE(std::to_string(thresholds) + " thresholds, slope " + std::to_string(slope) +
                       (adds ? ", shortcut" : "") + (keeps ? ", kept" : ""));
          SomeTail tail(pixels, channels, thresholds, slope, adds, keeps, random);
          check(&tail);
        }
      }
    }
  }
}

// Sets the environment variable that names the kernel, for as long as it lives.
class NamedKernel {
 public:
  explicit NamedKernel(const char* name) { setenv("HWGQ_STEP_KERNEL", name, 1); }
  ~NamedKernel() { unsetenv("HWGQ_STEP_KERNEL"); }
};

}  // namespace

TEST(StepKernelsTest, CompareSumsWithThresholds) {
  EachShape(kOutputs, [](int pixels, int channels, Random* random) {
    for (const int count : {1, 2, 3, 7, 15}) {
      for (const int most : {40, 21000}) {
        const SomeSums sums(pixels, most, random);
        const int stride = channels + random->Integer(0, 5), code_stride = channels + random->Integer(0, 3);
        std::vector<int16_t> t =
            random->Integers<int16_t>(static_cast<size_t>(count - 1) * stride + channels, -most, most);
        for (int16_t& threshold : t) {
          if (random->Integer(0, 9) == 0) threshold = random->Integer(0, 1) ? 32767 : -32768;
        }
        const std::vector<uint8_t> before(static_cast<size_t>(pixels - 1) * code_stride + channels, 77);
        std::vector<uint8_t> expected = before;
        for (int p = 0; p < pixels; ++p) {
          int16_t values[kOutputs];
          sums.values().Expand(p, values);
          for (int c = 0; c < channels; ++c) {
            uint8_t code = 0;
            for (int j = 0; j < count; ++j) code += values[c] >= t[j * stride + c];
            expected[p * code_stride + c] = code;
          }
        }
        for (const StepKernel* kernel : AllKernels()) {
          std::vector<uint8_t> codes = before;
          kernel->thresholds(sums.values(), pixels, channels, t.data(), count, stride,
                             {codes.data(), code_stride});
          EXPECT_EQ(codes, expected) << kernel->name << ", " << count << " thresholds";
        }
      }
    }
  });
}

TEST(StepKernelsTest, ExpandSums) {
  const std::vector<int16_t> sums = {5, 32766, 0, -32766};
  const std::vector<int32_t> digit_sums = {32766}, none = {0};
  std::vector<int16_t> all(kOutputs);
  std::copy(sums.begin(), sums.end(), all.begin());
  std::vector<int16_t> constants(kOutputs);
  constants[0] = -3;
  int16_t values[kOutputs];
  Sums16{all.data(), 2, digit_sums.data(), constants.data()}.Expand(0, values);
  EXPECT_EQ(values[0], 10 - 32766 + 3);
  EXPECT_EQ(values[1], 32766);
  EXPECT_EQ(values[2], -32766);
  Sums16{all.data(), 1, none.data(), constants.data()}.Expand(0, values);
  EXPECT_EQ(values[0], 5 + 3);
  EXPECT_EQ(values[1], 32766);
  EXPECT_EQ(values[3], -32766);
}

TEST(StepKernelsTest, RunTailsOfSums) {
  EachShape(kOutputs, [](int pixels, int channels, Random* random) {
    EachTail(pixels, channels, random, [&](SomeTail* tail) {
      const SomeSums sums(pixels, random->Integer(0, 1) ? 12 : 21000, random);
      const auto results = [&](const StepKernel* kernel) {
        return tail->Results([&](const Tail& part) { kernel->tail_of_sums(part, sums.values()); });
      };
      const std::vector<uint8_t> expected = results(&kStepPlain);
      for (const StepKernel* kernel : KernelsToTest()) EXPECT_EQ(results(kernel), expected) << kernel->name;
    });
  });
}

TEST(StepKernelsTest, RunTailsOfReals) {
  EachShape(1000, [](int pixels, int channels, Random* random) {
    EachTail(pixels, channels, random, [&](SomeTail* tail) {
      const int stride = channels + random->Integer(0, 3);
      const std::vector<float> values = random->Floats(static_cast<size_t>(pixels - 1) * stride + channels);
      const auto results = [&](const StepKernel* kernel) {
        return tail->Results([&](const Tail& part) { kernel->tail(part, {values.data(), stride}); });
      };
      const std::vector<uint8_t> expected = results(&kStepPlain);
      for (const StepKernel* kernel : KernelsToTest()) EXPECT_EQ(results(kernel), expected) << kernel->name;
    });
  });
}

// Where a product and a sum were one instruction, what the product's rounding takes away would be left.
TEST(StepKernelsTest, RoundProducts) {
  constexpr int kChannels = 70;
  const float x = 1 + std::ldexp(1.f, -12), rounded = 1 + std::ldexp(1.f, -11);
  const std::vector<float> factors(kChannels, x), minus(kChannels, -rounded), ones(kChannels, 1.f);
  const std::vector<float> zeros(kChannels, 0.f);
  const float threshold = 0;
  for (const StepKernel* kernel : AllKernels()) {
    std::vector<float> kept(kChannels, 7.f);
    std::vector<uint8_t> codes(kChannels, 7);
    Tail tail = {};
    tail.pixels = 1;
    tail.channels = kChannels;
    tail.a = factors.data();
    tail.b = minus.data();
    tail.g = ones.data();
    tail.h = zeros.data();
    tail.slope = 1;
    tail.kept = {kept.data(), kChannels};
    kernel->tail(tail, {factors.data(), kChannels});
    EXPECT_EQ(kept, zeros) << kernel->name;
    tail.a = ones.data();
    tail.b = zeros.data();
    tail.kept = {};
    tail.g = factors.data();
    tail.h = minus.data();
    tail.thresholds = &threshold;
    tail.threshold_count = 1;
    tail.codes = {codes.data(), kChannels};
    kernel->tail(tail, {factors.data(), kChannels});
    EXPECT_EQ(codes, std::vector<uint8_t>(kChannels, 0)) << kernel->name;
  }
}

TEST(StepKernelsTest, ChooseTheFastest) {
  unsetenv("HWGQ_STEP_KERNEL");
  const StepKernel& chosen = ChooseStepKernel();
  for (const StepKernel* kernel : StepKernels()) {
    if (!kernel->available()) continue;
    EXPECT_EQ(kernel, &chosen);
    break;
  }
  EXPECT_TRUE(kStepPlain.available());
  const NamedKernel named("");
  EXPECT_EQ(&ChooseStepKernel(), &chosen);
}

TEST(StepKernelsTest, ChooseByName) {
  for (const StepKernel* kernel : StepKernels()) {
    const NamedKernel named(kernel->name);
    if (kernel->available()) {
      EXPECT_EQ(&ChooseStepKernel(), kernel);
    } else {
      EXPECT_THROW(ChooseStepKernel(), std::runtime_error);
    }
  }
}

TEST(StepKernelsTest, SayWhichThereAre) {
  const NamedKernel named("abacus");
  try {
    ChooseStepKernel();
    ADD_FAILURE() << "an unknown name was taken";
  } catch (const std::runtime_error& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("HWGQ_STEP_KERNEL: there is no abacus"), std::string::npos) << message;
    for (const StepKernel* kernel : StepKernels()) {
      EXPECT_EQ(message.find(kernel->name) != std::string::npos, kernel->available()) << message;
    }
  }
}

}  // namespace lowbit
}  // namespace caffe
