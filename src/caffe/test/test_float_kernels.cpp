#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "caffe/lowbit/float_kernel.hpp"
#include "caffe/lowbit/float_tiles.hpp"
#include "caffe/lowbit/scratch.hpp"
#include "caffe/test/emulated_kernels.hpp"

// Only of the kernels and GoogleTest, so that scripts/test_neon.sh can build it for another processor.

namespace caffe {
namespace lowbit {

namespace {

constexpr int kOutputs = FloatKernel::kOutputs, kParts = FloatTiles::kParts;
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// What a sum may be off, as a part of the sum of magnitudes. With tiles there are at most 2^-24 for the
// products that are left out, and as much for each rounding that a product passes: 16 within its step, one
// for every step from there on. That is 1e-6 and more if all of them go the same way, which they do not.
constexpr double kBound = 1e-6, kTileBound = 5e-7;

using Draw = std::function<float(std::mt19937*)>;

Draw Normal(float scale) {
  return [scale](std::mt19937* random) { return scale * std::normal_distribution<float>()(*random); };
}
Draw Integers(int least, int most) {
  return [least, most](std::mt19937* random) {
    return static_cast<float>(std::uniform_int_distribution<int>(least, most)(*random));
  };
}
Draw Positive() {
  return [](std::mt19937* random) { return std::uniform_real_distribution<float>(0.5f, 1)(*random); };
}
// Of all magnitudes from 2^-20 to 2^20.
Draw OfAllSizes() {
  return [](std::mt19937* random) {
    const int exponent = std::uniform_int_distribution<int>(-20, 20)(*random);
    return std::ldexp(std::normal_distribution<float>()(*random), exponent);
  };
}

float FromBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// Memory full of NaNs, for floats as for bfloat16: what is taken of it shows.
AlignedBytes NanBytes(size_t size) {
  AlignedBytes bytes(size);
  std::memset(bytes.data(), 0xff, Aligned(size + 1));
  return bytes;
}

struct Shape {
  int pixels;
  std::vector<int> units;  // of the pieces
  int outputs = kOutputs;
  Draw values = Normal(1), weights = Normal(1);
};

// Values, weights and their sums in double precision. Windows overlap.
class Problem {
 public:
  Problem(const Shape& shape, unsigned seed) : shape_(shape), random_(seed) {
    std::uniform_int_distribution<int> gap(0, 5);
    int end = 0;
    for (const int units : shape.units) {
      starts_.push_back(end + gap(random_));
      end = starts_.back() + units;
      total_units_ += units;
    }
    for (int p = 0; p < shape.pixels; ++p) places_.push_back((p ? places_.back() : 0) + gap(random_));
    values_.resize(places_.back() + end);
    weights_.resize(static_cast<size_t>(shape.outputs) * total_units_);
    for (float& value : values_) value = shape.values(&random_);
    for (float& weight : weights_) weight = shape.weights(&random_);
  }

  std::vector<float>& values() { return values_; }
  int total_units() const { return total_units_; }

  /// Where a value of a pixel's window lies.
  int Place(int pixel, int unit) const {
    size_t piece = 0;
    for (; unit >= shape_.units[piece]; ++piece) unit -= shape_.units[piece];
    return places_[pixel] + starts_[piece] + unit;
  }

  /// The kernel's sums, pixels x outputs of the shape.
  std::vector<float> Sums(const FloatKernel& kernel, int least_parts = 1) {
    std::vector<float> all(static_cast<size_t>(shape_.pixels) * kOutputs, kNan);
    if (kernel.tiles) {
      SumTiles(*kernel.tiles, least_parts, all.data());
    } else {
      SumStrips(kernel, all.data());
    }
    std::vector<float> sums;
    for (int p = 0; p < shape_.pixels; ++p) {
      const float* row = all.data() + static_cast<size_t>(p) * kOutputs;
      sums.insert(sums.end(), row, row + shape_.outputs);
    }
    return sums;
  }

  /// Compares with the sums in double precision.
  void Check(const FloatKernel& kernel) {
    const std::vector<float> sums = Sums(kernel);
    const double bound = kernel.tiles ? kTileBound : kBound;
    for (int p = 0; p < shape_.pixels; ++p) {
      for (int output = 0; output < shape_.outputs; ++output) {
        double sum = 0, magnitude = 0;
        for (int k = 0; k < total_units_; ++k) {
          const double product = double{values_[Place(p, k)]} * weights_[output * total_units_ + k];
          sum += product;
          magnitude += std::abs(product);
        }
        ASSERT_NEAR(sums[p * shape_.outputs + output], sum, bound * magnitude)
            << kernel.name << ", pixel " << p << ", output " << output << ", " << total_units_ << " values";
      }
    }
  }

 private:
  Window MakeWindow(int unit_bytes) {
    offsets_.clear();
    for (const int start : starts_) offsets_.push_back(start * unit_bytes);
    return {offsets_.data(), shape_.units.data(), static_cast<int>(offsets_.size()), total_units_};
  }

  void SumStrips(const FloatKernel& kernel, float* sums) {
    const int strips = (shape_.outputs + kernel.strip - 1) / kernel.strip;
    std::vector<float> packed(static_cast<size_t>(strips) * kernel.strip * total_units_);
    for (int output = 0; output < shape_.outputs; ++output) {
      for (int k = 0; k < total_units_; ++k) {
        packed[(static_cast<size_t>(output / kernel.strip) * total_units_ + k) * kernel.strip +
               output % kernel.strip] = weights_[output * total_units_ + k];
      }
    }
    std::vector<const float*> pixels;
    for (const int place : places_) pixels.push_back(values_.data() + place);
    kernel.sums(pixels.data(), shape_.pixels, MakeWindow(sizeof(float)), packed.data(), strips, sums);
  }

  void SumTiles(const FloatTiles& tiles, int least_parts, float* sums) {
    const size_t part_bytes = values_.size() * 2 + BinaryKernel::kReadAhead;
    const AlignedBytes split = NanBytes(kParts * part_bytes);
    const int needed = tiles.split(values_.data(), static_cast<int64_t>(values_.size()),
                                   reinterpret_cast<uint16_t*>(split.data()), part_bytes / 2);
    const int parts = std::max(needed, least_parts);
    const int strips = (shape_.outputs + FloatTiles::kStrip - 1) / FloatTiles::kStrip;
    const AlignedBytes packed = PackStrips(tiles, strips);
    const AlignedBytes rows = NanBytes(GatheredBytes(total_units_));
    for (int p = 0; p < shape_.pixels; p += FloatTiles::kPixels) {
      const int count = std::min(FloatTiles::kPixels, shape_.pixels - p);
      std::vector<const uint8_t*> pixels;
      for (int i = 0; i < count; ++i) pixels.push_back(split.data() + places_[p + i] * 2);
      float block[FloatTiles::kPixels * kOutputs];
      tiles.gather(pixels.data(), count, MakeWindow(2), part_bytes, parts, rows.data());
      tiles.sums(rows.data(), count, total_units_, parts, packed.data(), strips, block);
      for (int i = 0; i < count; ++i) {
        std::copy_n(block + i * kOutputs, strips * FloatTiles::kStrip, sums + (p + i) * kOutputs);
      }
    }
  }

  AlignedBytes PackStrips(const FloatTiles& tiles, int strips) const {
    AlignedBytes packed(strips * TileStripBytes(total_units_));
    std::memset(packed.data(), 0, packed.size());
    for (int output = 0; output < shape_.outputs; ++output) {
      PackTileWeights(tiles, &weights_[output * total_units_], total_units_, output % FloatTiles::kStrip,
                      packed.data() + output / FloatTiles::kStrip * TileStripBytes(total_units_));
    }
    return packed;
  }

  const Shape shape_;
  std::mt19937 random_;
  int total_units_ = 0;
  std::vector<int> starts_, places_;
  std::vector<int32_t> offsets_;
  std::vector<float> values_, weights_;
};

// All that this build has.
std::vector<const FloatKernel*> Kernels() {
#ifdef __x86_64__
  return {&kFloatPlain, &kFloatAvx2, &kFloatAvx512, &kFloatAmx};
#else
  return {&kFloatPlain};
#endif
}

std::vector<const FloatKernel*> KernelsToTest() {
  std::vector<const FloatKernel*> kernels = EmulatedFloatKernels();
  for (const FloatKernel* kernel : Kernels()) {
    if (kernel->available()) kernels.push_back(kernel);
  }
  return kernels;
}

std::vector<const FloatTiles*> TilesToTest() {
  std::vector<const FloatTiles*> tiles;
  for (const FloatKernel* kernel : KernelsToTest()) {
    if (kernel->tiles) tiles.push_back(kernel->tiles);
  }
  return tiles;
}

void CheckAll(const Shape& shape, unsigned seed) {
  Problem problem(shape, seed);
  for (const FloatKernel* kernel : KernelsToTest()) {
    problem.Check(*kernel);
    if (testing::Test::HasFatalFailure()) return;
  }
}

double PartAt(const std::vector<uint16_t>& parts, size_t at) { return FromBits(uint32_t{parts[at]} << 16); }

// Sets the environment variable that names the kernel, for as long as it lives.
class NamedKernel {
 public:
  explicit NamedKernel(const char* name) { setenv("HWGQ_FLOAT_KERNEL", name, 1); }
  ~NamedKernel() { unsetenv("HWGQ_FLOAT_KERNEL"); }
};

}  // namespace

TEST(FloatKernelsTest, SumRandomShapes) {
  const Draw draws[] = {Normal(1), Positive(), OfAllSizes(), Integers(-255, 255), Normal(1e-3f)};
  std::mt19937 random(1701);
  const auto draw = [&](int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(random);
  };
  for (unsigned seed = 0; seed < 60; ++seed) {
    Shape shape;
    shape.pixels = draw(1, seed % 4 ? 40 : 112);
    shape.units.resize(draw(1, 11));
    for (int& units : shape.units) units = draw(1, 40);
    shape.outputs = draw(1, kOutputs);
    shape.values = draws[draw(0, 4)];
    shape.weights = draws[draw(0, 4)];
    CheckAll(shape, seed);
    if (HasFatalFailure()) return;
  }
}

// The first convolutions of ResNet-18 and AlexNet.
TEST(FloatKernelsTest, SumFirstConvolutions) {
  for (const Draw& values : {Integers(-128, 127), Normal(64)}) {
    CheckAll({33, std::vector<int>(7, 21), 64, values, Normal(0.1f)}, 1);
    CheckAll({33, std::vector<int>(11, 33), 32, values, Normal(0.1f)}, 2);
  }
}

TEST(FloatKernelsTest, SumEveryCountOfPixels) {
  for (int pixels = 1; pixels <= 112; ++pixels) {
    for (const int outputs : {3, 33, kOutputs}) CheckAll({pixels, {5, 3}, outputs}, pixels);
  }
}

TEST(FloatKernelsTest, SumEveryCountOfOutputs) {
  for (int outputs = 1; outputs <= kOutputs; ++outputs) CheckAll({3, {5, 3}, outputs}, outputs);
}

TEST(FloatKernelsTest, SumEveryLengthOfAPiece) {
  for (int units = 1; units <= 100; ++units) {
    CheckAll({3, {units}, 5}, units);
    CheckAll({3, {7, units}, 5}, units);
    CheckAll({3, {units, 2}, 5}, units);
  }
}

TEST(FloatKernelsTest, LeaveOutEmptyPieces) { CheckAll({9, {0, 3, 0, 0, 2, 0}, 7}, 1); }

TEST(FloatKernelsTest, SumLongWindows) { CheckAll({2, {5000, 1, 4000}, 20}, 1); }

// Within 24 bits nothing is rounded, though weights of 12 bits have two parts.
TEST(FloatKernelsTest, SumIntegersExactly) {
  const Shape shape = {40, {21, 21, 21, 21}, kOutputs, Integers(-16, 16), Integers(-4095, 4095)};
  Problem problem(shape, 3);
  const std::vector<float> expected = problem.Sums(kFloatPlain);
  for (const FloatKernel* kernel : KernelsToTest())
    EXPECT_EQ(problem.Sums(*kernel), expected) << kernel->name;
}

// What is left out of an image of integers is nothing but zeros.
TEST(FloatKernelsTest, SumTheSameWithoutPartsThatAreZero) {
  const Shape shape = {20, {21, 21, 21}, kOutputs, Integers(-256, 256), Normal(1)};
  Problem problem(shape, 4);
  for (const FloatKernel* kernel : KernelsToTest()) {
    EXPECT_EQ(problem.Sums(*kernel), problem.Sums(*kernel, kParts)) << kernel->name;
  }
}

// What is not finite shows in every sum that it is part of, and in no other.
TEST(FloatKernelsTest, KeepWhatIsNotFinite) {
  const float specials[] = {kInfinity, -kInfinity, kNan, -kNan, FromBits(0x7f800001), FromBits(0x7fffffff)};
  for (const float special : specials) {
    Shape shape = {20, {5, 6}, 33};
    Problem problem(shape, 5);
    const int place = problem.Place(7, 8);
    problem.values()[place] = special;
    for (const FloatKernel* kernel : KernelsToTest()) {
      const std::vector<float> sums = problem.Sums(*kernel);
      for (int p = 0; p < shape.pixels; ++p) {
        bool sees = false;
        for (int k = 0; k < problem.total_units(); ++k) sees = sees || problem.Place(p, k) == place;
        for (int output = 0; output < shape.outputs; ++output) {
          EXPECT_EQ(std::isfinite(sums[p * shape.outputs + output]), !sees)
              << kernel->name << ", pixel " << p;
        }
      }
    }
  }
}

TEST(FloatKernelsTest, KeepWeightsThatAreNotFinite) {
  for (const float special : {kInfinity, -kInfinity, kNan}) {
    Problem problem({3, {4, 4}, 7, Normal(1), [=](std::mt19937*) { return special; }}, 6);
    for (const FloatKernel* kernel : KernelsToTest()) {
      for (const float sum : problem.Sums(*kernel)) EXPECT_FALSE(std::isfinite(sum)) << kernel->name;
    }
  }
}

TEST(FloatKernelsTest, SumTheLargestValues) {
  for (const float value : {FLT_MAX, -FLT_MAX, FromBits(0x7f7f8000), FromBits(0x7f7f7fff)}) {
    CheckAll({2, {1}, 3, [=](std::mt19937*) { return value; }, Integers(1, 1)}, 1);
    CheckAll({2, {3, 4}, 3, [=](std::mt19937*) { return value; }, Normal(0.01f)}, 2);
    CheckAll({2, {3, 4}, 3, Normal(0.01f), [=](std::mt19937*) { return value; }}, 3);
    Problem overflow({2, {8}, 3, [=](std::mt19937*) { return value; }, Integers(1, 1)}, 4);
    for (const FloatKernel* kernel : KernelsToTest()) {
      for (const float sum : overflow.Sums(*kernel)) EXPECT_FALSE(std::isfinite(sum)) << kernel->name;
    }
  }
}

// Products of 1e-30 are as exact as others; what is smaller than the least normal float becomes 0.
TEST(FloatKernelsTest, SumTheSmallestValues) {
  CheckAll({20, {30, 5}, 7, Normal(1e-15f), Normal(1e-15f)}, 1);
  Problem problem({20, {30, 5}, 7, Normal(1e-25f), Normal(1e-20f)}, 2);
  for (const FloatKernel* kernel : KernelsToTest()) {
    for (const float sum : problem.Sums(*kernel)) EXPECT_LT(std::abs(sum), 1e-36f) << kernel->name;
  }
}

TEST(FloatTilesTest, SplitEveryFloat) {
  std::mt19937 random(8);
  std::vector<float> values = {0.f, -0.f, FLT_MAX, -FLT_MAX, FromBits(0x7f7f8000), FromBits(0x7f7effff)};
  // Whatever the mantissa; rests of the smallest are no longer normal.
  for (int i = 0; i < 20000; ++i) {
    const uint32_t exponent = std::uniform_int_distribution<uint32_t>(24, 253)(random);
    values.push_back(FromBits((random() & 0x807fffff) | exponent << 23));
  }
  std::vector<uint16_t> parts(kParts * values.size());
  const int64_t count = static_cast<int64_t>(values.size());
  for (const FloatTiles* tiles : TilesToTest()) {
    EXPECT_EQ(tiles->split(values.data(), count, parts.data(), count), 3);
    for (size_t i = 0; i < values.size(); ++i) {
      const double first = PartAt(parts, i), rest = values[i] - first;
      const double second = PartAt(parts, i + values.size()), third = PartAt(parts, i + 2 * values.size());
      ASSERT_EQ(first + second + third, values[i]) << i;
      // Half a unit of 8 bits; a whole one where rounding would give an infinity.
      ASSERT_LE(std::abs(rest), std::ldexp(std::abs(values[i]), i < 6 ? -7 : -8)) << i;
      ASSERT_LE(std::abs(third), std::ldexp(std::abs(rest), -8)) << i;
    }
  }
}

TEST(FloatTilesTest, SplitSaysWhichPartsAreNeeded) {
  std::vector<float> values(40);
  std::vector<uint16_t> parts(kParts * values.size());
  for (const FloatTiles* tiles : TilesToTest()) {
    for (size_t count = 1; count <= values.size(); ++count) {
      const auto needed = [&](float last) {
        for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i) - 20;
        values[count - 1] = last;
        return tiles->split(values.data(), static_cast<int64_t>(count), parts.data(), 40);
      };
      for (const float one : {0.f, -0.f, 256.f, -255.f, 0.375f}) EXPECT_EQ(needed(one), 1) << one;
      for (const float two : {257.f, -1023.f, 104.25f}) EXPECT_EQ(needed(two), 2) << two;
      for (const float three : {104.007f, 0.1f, kInfinity, kNan}) EXPECT_EQ(needed(three), 3) << three;
    }
  }
}

TEST(FloatTilesTest, SplitWritesNoMoreThanItsParts) {
  const std::vector<float> values(40, 1.f);
  for (const FloatTiles* tiles : TilesToTest()) {
    for (int count = 1; count <= 40; ++count) {
      std::vector<uint16_t> parts(kParts * 64, 7);
      tiles->split(values.data(), count, parts.data(), 64);
      for (int i = 0; i < kParts * 64; ++i) {
        const int expected = i % 64 >= count ? 7 : i < 64 ? 0x3f80 : 0;
        ASSERT_EQ(parts[i], expected) << count << " values, element " << i;
      }
    }
  }
}

TEST(FloatKernelsTest, ChooseTilesWhereTheyPay) {
  unsetenv("HWGQ_FLOAT_KERNEL");
  bool has_tiles = false;
  for (const FloatKernel* kernel : Kernels()) has_tiles = has_tiles || (kernel->tiles && kernel->available());
  EXPECT_EQ(ChooseFloatKernel(true).tiles != nullptr, has_tiles);
  EXPECT_EQ(ChooseFloatKernel(false).tiles, nullptr);
  EXPECT_TRUE(ChooseFloatKernel(true).available());
  EXPECT_TRUE(ChooseFloatKernel(false).available());
  const FloatKernel& chosen = ChooseFloatKernel(false);
  const NamedKernel named("");
  EXPECT_EQ(&ChooseFloatKernel(false), &chosen);
}

TEST(FloatKernelsTest, ChooseByName) {
  for (const FloatKernel* kernel : Kernels()) {
    const NamedKernel named(kernel->name);
    for (const bool tiles_pay : {true, false}) {
      if (kernel->available()) {
        EXPECT_EQ(&ChooseFloatKernel(tiles_pay), kernel);
      } else {
        EXPECT_THROW(ChooseFloatKernel(tiles_pay), std::runtime_error);
      }
    }
  }
}

TEST(FloatKernelsTest, SayWhichThereAre) {
  const NamedKernel named("abacus");
  try {
    ChooseFloatKernel(true);
    ADD_FAILURE() << "an unknown name was taken";
  } catch (const std::runtime_error& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("HWGQ_FLOAT_KERNEL: there is no abacus"), std::string::npos) << message;
    for (const FloatKernel* kernel : Kernels()) {
      EXPECT_EQ(message.find(kernel->name) != std::string::npos, kernel->available()) << message;
    }
  }
}

}  // namespace lowbit
}  // namespace caffe
