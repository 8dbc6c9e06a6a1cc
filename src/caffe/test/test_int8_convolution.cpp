#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "caffe/lowbit/float_kernel.hpp"
#include "caffe/lowbit/int8_kernel.hpp"
#include "caffe/test/emulated_kernels.hpp"
#include "caffe/test/packed_interpreter.hpp"
#include "caffe/test/random_convolution.hpp"

// Only of libhwgq and GoogleTest, so that scripts/test_neon.sh can build it for another processor.

namespace caffe {
namespace lowbit {

namespace {

using Images = RandomConvolution::Images;

constexpr int kOutputs = Int8Kernel::kOutputs, kInt8 = 1;
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// All that this build has.
std::vector<const Int8Kernel*> Kernels() {
#ifdef __x86_64__
  return {&kInt8Plain, &kInt8Avx2, &kInt8Vnni, &kInt8Amx};
#else
  return {&kInt8Plain};
#endif
}

std::vector<const Int8Kernel*> KernelsToTest() {
  std::vector<const Int8Kernel*> kernels = EmulatedInt8Kernels();
  for (const Int8Kernel* kernel : Kernels()) {
    if (kernel->available()) kernels.push_back(kernel);
  }
  return kernels;
}

RandomConvolution::Make Maker(const Int8Kernel& kernel) {
  return [&kernel](const Plan& plan, const StageInfo& stage) {
    return MakeInt8Convolution(plan, stage, kernel);
  };
}

// In floats, whatever the environment says.
std::unique_ptr<Stage> MakeFloats(const Plan& plan, const StageInfo& stage) {
  setenv("HWGQ_FLOAT_KERNEL", "plain", 1);
  std::unique_ptr<Stage> made = MakeFloatConvolution(plan, stage);
  unsetenv("HWGQ_FLOAT_KERNEL");
  return made;
}

// Sums of a kernel for outputs of a block, of integers of one type; `pieces` are lengths of a window's pieces
// in fours of values.
template <typename Value>
std::vector<float> Sums(const Int8Kernel::Sums& kernel, int pixels, const std::vector<int32_t>& pieces,
                        int outputs, unsigned seed) {
  const int unit_values = kernel.unit_bytes / static_cast<int>(sizeof(Value));
  std::mt19937 random(seed);
  const auto draw = [&](int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(random);
  };
  int row_weights = 0;
  std::vector<int32_t> offsets, units_of_pieces;
  for (const int fours : pieces) {
    offsets.push_back(static_cast<int>(sizeof(Value)) * (row_weights + draw(0, 9)));
    units_of_pieces.push_back(4 * fours / unit_values);
    row_weights += 4 * fours;
  }
  const int total_units = row_weights / unit_values;
  constexpr int kReadAhead = Int8Kernel::kReadAhead / sizeof(Value);
  std::vector<Value> values(row_weights + 10 + 3 * pixels + kReadAhead);
  for (Value& value : values)
    value = static_cast<Value>(sizeof(Value) == 1 ? draw(0, 255) : draw(-1000, 1000));
  std::vector<const uint8_t*> windows;
  for (int p = 0; p < pixels; ++p) {
    windows.push_back(reinterpret_cast<const uint8_t*>(values.data() + draw(0, 3 * pixels)));
  }
  std::vector<int32_t> all_starts(static_cast<size_t>(pixels) * kOutputs);
  for (int32_t& start : all_starts) start = draw(-100000, 100000);
  std::vector<const int32_t*> starts;
  for (int p = 0; p < pixels; ++p) starts.push_back(&all_starts[p * kOutputs]);
  std::vector<float> units(pixels), scales(kOutputs);
  for (float& unit : units) unit = std::ldexp(1.f, draw(-10, 10));
  for (float& scale : scales) scale = static_cast<float>(draw(1, 1000)) / 7;
  std::vector<int8_t> rows(static_cast<size_t>(kOutputs) * row_weights);
  for (int8_t& weight : rows) weight = static_cast<int8_t>(draw(-128, 127));
  // A value that may be read and not count.
  std::vector<int8_t> packed(rows.size() + Int8Kernel::kWeightsReadAhead, 77);
  for (int output = 0; output < kOutputs; ++output) {
    for (int k = 0; k < row_weights; ++k) {
      const int unit = output / kernel.strip * total_units + k / unit_values;
      packed[(unit * kernel.strip + output % kernel.strip) * unit_values + k % unit_values] =
          rows[output * row_weights + k];
    }
  }
  std::vector<float> sums(static_cast<size_t>(pixels) * kOutputs, -1);
  const int strips = (outputs + kernel.strip - 1) / kernel.strip;
  const AlignedBytes scratch(kernel.scratch_bytes ? kernel.scratch_bytes(total_units) : 0);
  kernel.run(windows.data(), pixels,
             {offsets.data(), units_of_pieces.data(), static_cast<int>(pieces.size()), total_units},
             packed.data(), strips, starts.data(), units.data(), scales.data(), scratch.data(), sums.data());
  for (int i = 0; i < pixels * kOutputs; ++i) {
    if (i % kOutputs >= strips * kernel.strip) {
      EXPECT_EQ(sums[i], -1) << "more is written than the strips";
    }
    if (i % kOutputs >= outputs) sums[i] = 0;
  }
  return sums;
}

void CheckKernels(int pixels, const std::vector<int32_t>& pieces, int outputs, unsigned seed) {
  const std::vector<float> words = Sums<int16_t>(kInt8Plain.words, pixels, pieces, outputs, seed);
  const std::vector<float> bytes = Sums<uint8_t>(kInt8Plain.bytes, pixels, pieces, outputs, seed);
  for (const Int8Kernel* kernel : KernelsToTest()) {
    SCOPED_TRACE(std::string(kernel->name) + ", " + std::to_string(pixels) + " pixels, " +
                 std::to_string(outputs) + " outputs");
    ASSERT_EQ(Sums<int16_t>(kernel->words, pixels, pieces, outputs, seed), words);
    if (!kernel->bytes.run) continue;
    ASSERT_EQ(Sums<uint8_t>(kernel->bytes, pixels, pieces, outputs, seed), bytes) << "of bytes";
  }
}

// A convolution of one pixel whose weights are all `weight`, and all pixels `value`.
PlanMaker OnePixel(int weights, const std::vector<int8_t>& of_outputs) {
  PlanMaker maker;
  const int outputs = static_cast<int>(of_outputs.size());
  const int input = maker.Input(weights, 1, 1), output = maker.Tensor(TensorKind::kReal, outputs, 1, 1);
  std::vector<int8_t> bytes;
  for (const int8_t weight : of_outputs) bytes.insert(bytes.end(), weights, weight);
  maker
      .Stage(StageKind::kConvolution, {input}, {outputs, 1, 1, 1, 1, 0, 0, 1, 1, 1, kInt8},
             {maker.SignedBytes(bytes), maker.Floats(std::vector<float>(outputs, 0.5f))})
      .steps = {MakeStep(StepKind::kStore, output)};
  maker.Output(output);
  return maker;
}

// The most that an output of an image may be off: what all of its weights, times the input's rounding, give.
double Bound(const Plan& plan, const float* image) {
  const StageInfo& stage = plan.stages[0];
  const size_t outputs = stage.attributes[0], weights = stage.arrays[0].count / outputs;
  double largest_row = 0;
  for (size_t output = 0; output < outputs; ++output) {
    double row = 0;
    for (size_t k = 0; k < weights; ++k)
      row += std::abs(int{stage.arrays[0].as<int8_t>()[output * weights + k]});
    largest_row = std::max(largest_row, row * stage.arrays[1].as<float>()[output]);
  }
  float largest = 0;
  for (int64_t i = 0; i < plan.tensors[0].elements(); ++i) largest = std::max(largest, std::abs(image[i]));
  return largest_row * largest / INT16_MAX;
}

class NamedKernel {
 public:
  NamedKernel(const char* variable, const char* name) : variable_(variable) { setenv(variable, name, 1); }
  ~NamedKernel() { unsetenv(variable_); }

 private:
  const char* const variable_;
};

}  // namespace

TEST(Int8KernelsTest, SumRandomShapes) {
  std::mt19937 random(1702);
  const auto draw = [&](int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(random);
  };
  for (unsigned seed = 0; seed < 60; ++seed) {
    std::vector<int32_t> pieces(draw(1, 9));
    for (int32_t& fours : pieces) fours = draw(1, 20);
    CheckKernels(draw(1, 70), pieces, draw(1, kOutputs), seed);
    if (HasFatalFailure()) return;
  }
}

TEST(Int8KernelsTest, SumEveryCountOfPixelsAndOutputs) {
  for (int pixels = 1; pixels <= 30; ++pixels) CheckKernels(pixels, {3, 2}, pixels % 3 ? 40 : 64, pixels);
  for (int outputs = 1; outputs <= kOutputs; ++outputs) CheckKernels(7, {3, 2}, outputs, outputs);
}

// Integers of 15 bits stay as they are, and so do these times a power of two.
TEST(Int8ConvolutionTest, IsExactForIntegers) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomConvolution convolution(seed, kInt8);
    const int most = seed % 2 ? 255 : 32767;
    Images images(2 * convolution.in_elements());
    for (float& value : images)
      value = std::ldexp(static_cast<float>(convolution.Draw(-most, most)), seed % 7 - 3);
    PackedInterpreter interpreter(convolution.plan());
    interpreter.Run(2, {images});
    const std::vector<double>& expected = interpreter.at(convolution.output());
    for (const Int8Kernel* kernel : KernelsToTest()) {
      const Images results = convolution.Run(Maker(*kernel), images);
      ASSERT_EQ(results.size(), expected.size());
      for (size_t i = 0; i < results.size(); ++i) {
        // The sum and its product with the scale are rounded to floats.
        ASSERT_NEAR(results[i], expected[i], 1.3e-7 * std::abs(expected[i]))
            << kernel->name << ", element " << i;
      }
    }
  }
}

// An image of bytes, less means that are integers or not, times `unit`.
Images DrawBytes(RandomConvolution* convolution, int images, const std::vector<int>& means, float unit) {
  const TensorInfo& input = convolution->plan().tensors[0];
  Images values(images * input.elements());
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t channel = i / input.pixels() % input.channels;
    values[i] = unit * static_cast<float>(convolution->Draw(0, 255) - means[channel]);
  }
  return values;
}

// A kernel without its sums of bytes.
Int8Kernel WordsAlone(const Int8Kernel& kernel) {
  return {kernel.name, kernel.available, kernel.pixels, kernel.words, {}};
}

TEST(Int8ConvolutionTest, BytesAndWordsGiveTheSame) {
  for (unsigned seed = 400; seed < 460; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomConvolution convolution(seed, kInt8);
    std::vector<int> means(convolution.plan().tensors[0].channels);
    // None, those of photographs, and of values below 0 alone.
    for (int& mean : means) mean = seed % 3 == 0 ? 0 : seed % 3 == 1 ? convolution.Draw(0, 255) : 255;
    const Images images = DrawBytes(&convolution, 3, means, std::ldexp(1.f, static_cast<int>(seed % 7) - 8));
    const Int8Kernel words = WordsAlone(kInt8Plain);
    const Images expected = convolution.Run(Maker(words), images);
    for (const Int8Kernel* kernel : KernelsToTest()) {
      EXPECT_EQ(convolution.Run(Maker(*kernel), images), expected) << kernel->name;
    }
    EXPECT_EQ(convolution.Run(Maker(kInt8Plain), images, 3), expected) << "three threads";
  }
}

// Sums of bytes are as fast as they are said to be only where they are used.
TEST(Int8ConvolutionTest, TakesBytesWhereAllValuesAre) {
  static int calls_of_bytes;
  Int8Kernel counting = kInt8Plain;
  counting.bytes.run = [](const uint8_t* const* pixels, int count, const Window& window,
                          const int8_t* weights, int strips, const int32_t* const* starts, const float* units,
                          const float* scales, uint8_t* scratch, float* sums) {
    ++calls_of_bytes;
    kInt8Plain.bytes.run(pixels, count, window, weights, strips, starts, units, scales, scratch, sums);
  };
  const auto takes_bytes = [&](const RandomConvolution& convolution, const Images& images) {
    calls_of_bytes = 0;
    EXPECT_EQ(convolution.Run(Maker(counting), images),
              convolution.Run(Maker(WordsAlone(kInt8Plain)), images));
    return calls_of_bytes > 0;
  };
  for (unsigned seed = 500; seed < 520; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomConvolution convolution(seed, kInt8);
    const int64_t elements = convolution.in_elements();
    const bool one_pixel =
        convolution.out_elements() == convolution.plan().tensors[convolution.output()].channels;
    const std::vector<int> means(convolution.plan().tensors[0].channels, 117);
    const Images bytes = DrawBytes(&convolution, 1, means, 0.5f);
    EXPECT_EQ(takes_bytes(convolution, bytes), !one_pixel);
    const int place = convolution.Draw(0, static_cast<int>(elements) - 1);
    for (const float other : {0.25f, 256 * 0.5f, -300 * 0.5f, 1e-30f, 1e30f}) {
      Images images = bytes;
      images[place] = other;
      if (other == 0.25f || other == 1e-30f) {
        EXPECT_FALSE(takes_bytes(convolution, images)) << other;
      } else if (bytes.size() > 60) {
        EXPECT_FALSE(takes_bytes(convolution, images)) << other;
      }
    }
    EXPECT_FALSE(takes_bytes(convolution, Images(elements, 0.f))) << "nothing but zeros";
  }
}

TEST(Int8ConvolutionTest, ImagesOfBothKindsComeTogether) {
  for (unsigned seed = 600; seed < 620; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomConvolution convolution(seed, kInt8);
    const std::vector<int> means(convolution.plan().tensors[0].channels, 104);
    Images images = DrawBytes(&convolution, 5, means, 1);
    const int64_t elements = convolution.in_elements();
    images[elements] += 0.37f;
    images[3 * elements + elements / 2] = 1e4f;
    images[4 * elements] = kNan;
    for (const Int8Kernel* kernel : KernelsToTest()) {
      const Images together = convolution.Run(Maker(*kernel), images);
      const Images alone = convolution.RunEach(Maker(*kernel), images);
      ASSERT_EQ(together.size(), alone.size());
      for (size_t i = 0; i < alone.size(); ++i) {
        if (!std::isnan(alone[i])) {
          ASSERT_EQ(together[i], alone[i]) << kernel->name << ", " << i;
        } else {
          ASSERT_TRUE(std::isnan(together[i])) << kernel->name << ", " << i;
        }
      }
    }
  }
}

TEST(Int8ConvolutionTest, RoundsItsInputTo15Bits) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomConvolution convolution(seed, kInt8);
    const int count = 1 + static_cast<int>(seed % 4);
    Images images = convolution.DrawImages(count);
    for (float& value : images) value = std::ldexp(value, static_cast<int>(seed % 5) * 30 - 60);
    PackedInterpreter interpreter(convolution.plan());
    interpreter.Run(count, {images});
    const std::vector<double>& expected = interpreter.at(convolution.output());
    Images of_plain;
    for (const Int8Kernel* kernel : {KernelsToTest().back(), &kInt8Plain}) {
      const Images results = convolution.Run(Maker(*kernel), images);
      ASSERT_EQ(results.size(), expected.size());
      for (size_t i = 0; i < results.size(); ++i) {
        const size_t image = i / convolution.out_elements();
        const double bound = Bound(convolution.plan(), &images[image * convolution.in_elements()]);
        ASSERT_NEAR(results[i], expected[i], 1.01 * bound) << kernel->name << ", element " << i;
      }
      if (of_plain.empty()) of_plain = results;
      EXPECT_EQ(results, of_plain);
    }
  }
}

TEST(Int8ConvolutionTest, NumberOfThreadsDoesNotMatter) {
  for (unsigned seed = 200; seed < 210; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomConvolution convolution(seed, kInt8);
    const Images images = convolution.DrawImages(3), expected = convolution.Run(Maker(kInt8Plain), images);
    for (const int threads : {2, 3, 7}) {
      EXPECT_EQ(convolution.Run(Maker(kInt8Plain), images, threads), expected);
    }
  }
}

TEST(Int8ConvolutionTest, ImagesDoNotSeeEachOther) {
  for (unsigned seed = 100; seed < 110; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomConvolution convolution(seed, kInt8);
    const Images images = convolution.DrawImages(3);
    EXPECT_EQ(convolution.Run(Maker(kInt8Plain), images), convolution.RunEach(Maker(kInt8Plain), images));
  }
}

// What is not finite shows where it does in floats, and images without it are as they are alone.
TEST(Int8ConvolutionTest, SumsWhatIsNotFiniteInFloats) {
  for (unsigned seed = 300; seed < 330; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomConvolution convolution(seed, kInt8);
    Images images = convolution.DrawImages(3);
    const int64_t in = convolution.in_elements(), out = convolution.out_elements();
    const float specials[] = {kInfinity, -kInfinity, kNan};
    const Images all_finite = convolution.Run(Maker(kInt8Plain), images);
    images[in + convolution.Draw(0, static_cast<int>(in) - 1)] = specials[seed % 3];
    const Images floats = convolution.Run(MakeFloats, images);
    const Images results = convolution.Run(Maker(kInt8Plain), images);
    for (int64_t i = 0; i < 3 * out; ++i) {
      if (i / out != 1) {
        ASSERT_EQ(results[i], all_finite[i]) << i;
      } else if (std::isfinite(floats[i])) {
        ASSERT_NEAR(results[i], floats[i], 1e-5 * std::abs(floats[i]) + 1e-2) << i;
      } else {
        ASSERT_FALSE(std::isfinite(results[i])) << i;
      }
    }
  }
}

TEST(Int8ConvolutionTest, SumsValuesOfEverySize) {
  const PlanMaker maker = OnePixel(3, {127, -128, 1});
  const auto run = [&](float value) {
    const std::vector<float> x(3, value);
    std::vector<float> y(3, kNan), in = x;
    const std::unique_ptr<Stage> stage = MakeInt8Convolution(maker.plan, maker.plan.stages[0], kInt8Plain);
    const AlignedBytes room(stage->RoomBytes(1));
    const Tensors tensors = {{reinterpret_cast<uint8_t*>(in.data()), reinterpret_cast<uint8_t*>(y.data())},
                             1};
    stage->Run(tensors, room.data(), 1);
    return y;
  };
  EXPECT_EQ(run(0), (std::vector<float>{0, 0, 0}));
  for (const float value : {1.f, -1.f, 1e-20f, 3e35f, 1.5f, 1e-30f}) {
    const std::vector<float> y = run(value);
    EXPECT_NEAR(y[0] / value, 0.5 * 3 * 127, 0.02) << value;
    EXPECT_NEAR(y[1] / value, 0.5 * 3 * -128, 0.02) << value;
    EXPECT_NEAR(y[2] / value, 0.5 * 3, 2e-4) << value;
  }
  EXPECT_EQ(run(FLT_MAX)[0], kInfinity);
  EXPECT_EQ(run(FLT_MAX)[1], -kInfinity);
  // Least of all normal and of all floats: nothing but small.
  for (const float value : {FLT_MIN, std::numeric_limits<float>::denorm_min()}) {
    for (const float sum : run(value)) EXPECT_LE(std::abs(sum), 200 * FLT_MIN) << value;
  }
}

// Up to the longest window the largest sums do not overflow; longer ones are summed in floats.
TEST(Int8ConvolutionTest, LeavesSumsThatOverflowToFloats) {
  const int longest = INT32_MAX / 4095 / 127;
  for (const int weights : {516, 517, 1000, longest, longest + 1}) {
    SCOPED_TRACE(std::to_string(weights) + " weights");
    const PlanMaker maker = OnePixel(weights, {127, -127, 3});
    for (const Int8Kernel* kernel : KernelsToTest()) {
      const std::unique_ptr<Stage> stage = MakeInt8Convolution(maker.plan, maker.plan.stages[0], *kernel);
      ASSERT_EQ(stage != nullptr, weights <= longest);
      if (!stage) continue;
      const int most = std::min(INT32_MAX / (127 * weights), 32767);
      std::vector<float> x(weights, static_cast<float>(most)), y(3);
      const AlignedBytes room(stage->RoomBytes(1));
      stage->Run({{reinterpret_cast<uint8_t*>(x.data()), reinterpret_cast<uint8_t*>(y.data())}, 1},
                 room.data(), 1);
      const float sum = static_cast<float>(most * weights * 127) / 2;
      EXPECT_EQ(y, (std::vector<float>{sum, -sum, static_cast<float>(most * weights * 3) / 2}))
          << kernel->name;
    }
  }
}

// With one pixel, what is read of AVX2's weights is less than with floats, and tiles would have but one row;
// many pixels are faster in longer vectors, and in tiles, where those of integers are the fastest.
TEST(Int8KernelsTest, ChooseWhatIsFaster) {
  unsetenv("HWGQ_FLOAT_KERNEL");
  unsetenv("HWGQ_INT8_KERNEL");
  const FloatKernel* const tiled = EmulatedFloatKernels()[0];
#ifdef __x86_64__
  const Int8Kernel* const tiles = kInt8Amx.available() ? &kInt8Amx : nullptr;
  EXPECT_EQ(ChooseInt8Kernel(*tiled, false), tiles);
  const Int8Kernel* const vectors = kInt8Vnni.available()   ? &kInt8Vnni
                                    : kInt8Avx2.available() ? &kInt8Avx2
                                                            : nullptr;
  EXPECT_EQ(ChooseInt8Kernel(kFloatAvx512, true), vectors);
  EXPECT_EQ(ChooseInt8Kernel(kFloatAvx512, false), tiles ? tiles : vectors == &kInt8Avx2 ? nullptr : vectors);
  EXPECT_EQ(ChooseInt8Kernel(kFloatAvx2, false), tiles ? tiles : vectors);
#else
  EXPECT_EQ(ChooseInt8Kernel(*tiled, false), nullptr);
#endif
}

TEST(Int8ConvolutionTest, IsChosenForInt8WeightsAlone) {
  unsetenv("HWGQ_FLOAT_KERNEL");
  unsetenv("HWGQ_INT8_KERNEL");
  const PlanMaker maker = OnePixel(3, {1}), too_long = OnePixel(5000, {127});
  const auto kernel = [](const Plan& plan) {
    return std::string(MakeFloatConvolution(plan, plan.stages[0])->Kernel());
  };
  const Int8Kernel* const fastest = ChooseInt8Kernel(ChooseFloatKernel(false), true);
  EXPECT_EQ(kernel(maker.plan), fastest ? fastest->name : ChooseFloatKernel(false).name);
  EXPECT_EQ(kernel(too_long.plan), ChooseFloatKernel(false).name);
  PlanMaker floats = OnePixel(3, {1});
  floats.plan.stages[0].attributes.back() = 0;
  floats.plan.stages[0].arrays = {floats.Floats({1, 2, 3})};
  EXPECT_EQ(kernel(floats.plan), ChooseFloatKernel(false).name);
  {
    const NamedKernel named("HWGQ_FLOAT_KERNEL", "plain");
    EXPECT_EQ(kernel(maker.plan), "plain");
  }
  for (const Int8Kernel* wanted : Kernels()) {
    const NamedKernel named("HWGQ_INT8_KERNEL", wanted->name);
    if (wanted->available()) {
      EXPECT_EQ(kernel(maker.plan), wanted->name);
    } else {
      EXPECT_THROW(kernel(maker.plan), std::runtime_error);
    }
  }
  const NamedKernel named("HWGQ_INT8_KERNEL", "abacus");
  try {
    kernel(maker.plan);
    ADD_FAILURE() << "an unknown name was taken";
  } catch (const std::runtime_error& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("HWGQ_INT8_KERNEL: there is no abacus here; there are "), std::string::npos)
        << message;
    EXPECT_NE(message.find("int8_plain"), std::string::npos) << message;
  }
}

}  // namespace lowbit
}  // namespace caffe
