#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "caffe/lowbit/binary_kernel.hpp"
#include "caffe/test/emulated_kernels.hpp"

// Only of the kernels and GoogleTest, so that scripts/test_neon.sh can build it for another processor.

namespace caffe {
namespace lowbit {

namespace {

constexpr int kOutputs = BinaryKernel::kOutputs;

// What a byte has where a kernel must not look, or must not have left it.
constexpr uint8_t kGarbage = 0xeb;

// Aligned memory of just so many bytes: a sanitizer sees what goes beyond.
class Memory {
 public:
  explicit Memory(size_t size) {
    void* bytes;
    if (posix_memalign(&bytes, 64, size)) throw std::bad_alloc();
    bytes_.reset(static_cast<uint8_t*>(bytes));
    std::memset(bytes, kGarbage, size);
  }
  uint8_t* data() { return bytes_.get(); }

 private:
  struct Free {
    void operator()(uint8_t* bytes) const { std::free(bytes); }
  };
  std::unique_ptr<uint8_t, Free> bytes_;
};

enum class Weights { kRandom, kAllPositive, kAllNegative };

struct Shape {
  Packing packing;
  int pixels;
  std::vector<int> units;  // of the pieces
  int largest_digit;
  Weights weights;
  bool only_largest_digits;
  // Whether pixels follow each other at one distance, their windows overlapping.
  bool equidistant;
  // Of each piece, where the window is regular: that many units long, and pixels are `step` columns apart, or
  // now and then one more.
  int columns = 0;
  int step = 1;
  // Units from a column to the next, beyond those that it has.
  int column_gap = 0;
};

// Digits, weights and what they give.
class Problem {
 public:
  Problem(const Shape& shape, int seed)
      : shape_(shape), channels_of_unit_(ChannelsOfUnit(shape.packing)), random_(seed) {
    PlacePieces();
    PlacePixels();
    DrawDigits();
    DrawBits();
    Sum();
  }

  int Channels() const { return total_units_ * channels_of_unit_; }
  bool FitsInto16Bits(const BinaryKernel& kernel) const {
    return int64_t{Channels()} * shape_.largest_digit <= (kernel.signed_sums ? 32767 : 65535);
  }

  void Check(const BinaryKernel& kernel) {
    SCOPED_TRACE(Describe(kernel));
    Window window = {offsets_.data(), pieces_.data(), static_cast<int>(pieces_.size()), total_units_};
    if (shape_.columns > 0) {
      window.row_offsets = row_offsets_.data();
      window.rows = static_cast<int>(shape_.units.size());
      window.columns = shape_.columns;
      window.column_units = shape_.units[0];
      window.column_bytes = ColumnBytes();
    }
    Memory weights(kernel.weight_bytes(window));
    kernel.pack_weights(bits_.data(), window, weights.data());
    ASSERT_TRUE(kernel.sums32);
    CheckSums<uint32_t>(kernel, kernel.sums32, window, weights.data());
    if (kernel.sums16 && FitsInto16Bits(kernel)) {
      CheckSums<uint16_t>(kernel, kernel.sums16, window, weights.data());
    }
  }

 private:
  int Draw(int least, int most) { return std::uniform_int_distribution<int>(least, most)(random_); }

  void PlacePieces() {
    const int unit_bytes = BytesOfUnit(shape_.packing);
    for (const int units : shape_.units) {
      window_bytes_ += Draw(0, 5) * unit_bytes;
      row_offsets_.push_back(window_bytes_);
      const int columns = std::max(shape_.columns, 1);
      const bool in_one_piece = shape_.column_gap == 0;
      for (int column = 0; column < (in_one_piece ? 1 : columns); ++column) {
        offsets_.push_back(window_bytes_ + column * ColumnBytes());
        pieces_.push_back(in_one_piece ? columns * units : units);
      }
      window_bytes_ += (columns - 1) * ColumnBytes() + units * unit_bytes;
      total_units_ += columns * units;
    }
  }

  int ColumnBytes() const { return (shape_.units[0] + shape_.column_gap) * BytesOfUnit(shape_.packing); }

  void PlacePixels() {
    const int unit_bytes = BytesOfUnit(shape_.packing);
    const int distance = shape_.columns > 0 ? shape_.step * ColumnBytes() : Draw(1, 40) * unit_bytes;
    int at = 0;
    for (int p = 0; p < shape_.pixels; ++p) {
      places_.push_back(at);
      if (shape_.columns > 0 && Draw(0, 15) == 0) at += ColumnBytes();
      at += shape_.equidistant ? distance : window_bytes_ + Draw(0, 3) * unit_bytes;
    }
    memory_.reset(new Memory(places_.back() + window_bytes_ + BinaryKernel::kReadAhead));
  }

  // Every channel of every place of memory has one digit, also where windows overlap.
  void DrawDigits() {
    const size_t units = (places_.back() + window_bytes_) / BytesOfUnit(shape_.packing);
    digits_.resize(units * channels_of_unit_);
    for (uint8_t& digit : digits_) {
      digit = static_cast<uint8_t>(shape_.only_largest_digits ? shape_.largest_digit
                                                              : Draw(0, shape_.largest_digit));
    }
    std::vector<bool> used(units);
    for (const int place : places_) {
      for (size_t piece = 0; piece < offsets_.size(); ++piece) {
        const int unit = (place + offsets_[piece]) / BytesOfUnit(shape_.packing);
        for (int i = 0; i < pieces_[piece]; ++i) used[unit + i] = true;
      }
    }
    for (size_t unit = 0; unit < units; ++unit) {
      if (used[unit]) StoreUnit(&digits_[unit * channels_of_unit_], unit);
    }
  }

  void StoreUnit(const uint8_t* digits, size_t unit) {
    uint8_t* const at = memory_->data() + unit * BytesOfUnit(shape_.packing);
    if (shape_.packing == Packing::kBytes) {
      std::memcpy(at, digits, 4);
    } else if (shape_.packing == Packing::kOffsets) {
      const uint16_t offset =
          static_cast<uint16_t>(16 * (digits[0] + 4 * digits[1] + 16 * digits[2] + 64 * digits[3]));
      std::memcpy(at, &offset, sizeof(offset));
    } else if (shape_.packing == Packing::kSixes) {
      const uint16_t offsets[] = {static_cast<uint16_t>(64 * (digits[0] + 4 * digits[1] + 16 * digits[2])),
                                  static_cast<uint16_t>(64 * (digits[3] + 4 * digits[4] + 16 * digits[5]))};
      std::memcpy(at, offsets, sizeof(offsets));
    } else {
      uint64_t planes[2] = {};
      for (int channel = 0; channel < 64; ++channel) {
        planes[0] |= uint64_t{digits[channel] & 1u} << channel;
        planes[1] |= uint64_t{digits[channel] >> 1 & 1u} << channel;
      }
      std::memcpy(at, planes, sizeof(planes));
    }
  }

  // Some channels are padding: without weights, whatever their digits.
  void DrawBits() {
    bits_.resize(static_cast<size_t>(kOutputs) * Channels());
    std::vector<uint8_t> padding(Channels());
    for (uint8_t& is_padding : padding) {
      is_padding = shape_.weights == Weights::kRandom && Draw(0, 15) == 0;
    }
    for (size_t i = 0; i < bits_.size(); ++i) {
      const bool positive =
          shape_.weights == Weights::kRandom ? Draw(0, 1) == 1 : shape_.weights == Weights::kAllPositive;
      bits_[i] = positive && !padding[i % Channels()];
    }
  }

  void Sum() {
    for (const int place : places_) {
      std::vector<const uint8_t*> digits;  // of the window's units
      for (size_t piece = 0; piece < offsets_.size(); ++piece) {
        const size_t first = (place + offsets_[piece]) / BytesOfUnit(shape_.packing);
        for (int i = 0; i < pieces_[piece]; ++i) digits.push_back(&digits_[(first + i) * channels_of_unit_]);
      }
      uint32_t all = 0;
      for (const uint8_t* unit : digits) all = std::accumulate(unit, unit + channels_of_unit_, all);
      digit_sums_.push_back(all);
      for (int output = 0; output < kOutputs; ++output) {
        const uint8_t* bits = bits_.data() + static_cast<size_t>(output) * Channels();
        uint32_t sum = 0;
        for (const uint8_t* unit : digits) {
          for (int channel = 0; channel < channels_of_unit_; ++channel) sum += unit[channel] * *bits++;
        }
        expected_.push_back(sum);
      }
    }
  }

  template <typename Value, typename Function>
  void CheckSums(const BinaryKernel& kernel, Function function, const Window& window,
                 const uint8_t* weights) {
    std::vector<const uint8_t*> pixels;
    for (const int place : places_) pixels.push_back(memory_->data() + place);
    Memory scratch(kernel.scratch_bytes ? kernel.scratch_bytes(total_units_) : 0);
    const size_t sums_size = expected_.size() * sizeof(Value), beyond = 4096;
    Memory sums(sums_size + beyond);
    Value* const values = reinterpret_cast<Value*>(sums.data());
    function(pixels.data(), shape_.pixels, window, weights, kernel.scratch_bytes ? scratch.data() : nullptr,
             values);
    for (size_t i = 0; i < expected_.size(); ++i) {
      const uint32_t expected =
          kernel.signed_sums ? 2 * expected_[i] - digit_sums_[i / kOutputs] : expected_[i];
      ASSERT_EQ(values[i], static_cast<Value>(expected))
          << 8 * sizeof(Value) << " bits, pixel " << i / kOutputs << ", output " << i % kOutputs;
    }
    const auto is_garbage = [](uint8_t byte) { return byte == kGarbage; };
    EXPECT_TRUE(std::all_of(sums.data() + sums_size, sums.data() + sums_size + beyond, is_garbage));
  }

  std::string Describe(const BinaryKernel& kernel) const {
    std::string text = std::string(kernel.name) + ", " + std::to_string(shape_.pixels) + " pixels, pieces of";
    for (const int units : shape_.units) text += " " + std::to_string(units);
    if (shape_.columns > 0) text += " in " + std::to_string(shape_.columns) + " columns";
    return text + ", digits to " + std::to_string(shape_.largest_digit);
  }

  const Shape shape_;
  const int channels_of_unit_;
  std::mt19937 random_;
  int window_bytes_ = 0, total_units_ = 0;
  // Of the pieces; and where rows of columns begin.
  std::vector<int32_t> offsets_, pieces_, row_offsets_;
  std::vector<int> places_;
  std::unique_ptr<Memory> memory_;
  std::vector<uint8_t> digits_, bits_;
  // Of each pixel and output; and of each pixel.
  std::vector<uint32_t> expected_, digit_sums_;
};

void CheckAll(const Shape& shape, int seed) {
  Problem problem(shape, seed);
  for (const BinaryKernel* kernel : BinaryKernelsToTest()) {
    if (kernel->packing == shape.packing) problem.Check(*kernel);
  }
}

const Packing kPackings[] = {Packing::kBytes, Packing::kOffsets, Packing::kSixes, Packing::kPlanes};

Shape MakeShape(Packing packing, int pixels, const std::vector<int>& units) {
  return {packing, pixels, units, LargestDigit(packing), Weights::kRandom, false, true};
}

// Sets the environment variable that names the kernel, for as long as it lives.
class NamedKernel {
 public:
  explicit NamedKernel(const char* name) { setenv("HWGQ_KERNEL", name, 1); }
  ~NamedKernel() { unsetenv("HWGQ_KERNEL"); }
};

}  // namespace

TEST(BinaryKernelsTest, SumRandomShapes) {
  std::mt19937 random(1701);
  const auto draw = [&](int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(random);
  };
  for (const Packing packing : kPackings) {
    for (int repeat = 0; repeat < 24; ++repeat) {
      std::vector<int> units(draw(1, 9));
      const int most =
          (repeat % 4 ? 160 : 1200) * 4 / ChannelsOfUnit(packing) / static_cast<int>(units.size());
      for (int& length : units) length = draw(1, most > 1 ? most : 2);
      Shape shape = MakeShape(packing, draw(1, repeat % 4 ? 70 : 12), units);
      if (repeat % 2) shape.largest_digit = 3;
      shape.equidistant = repeat % 3 > 0;
      CheckAll(shape, repeat);
    }
  }
}

// Columns that pixels share; most kernels do not care.
TEST(BinaryKernelsTest, SumSharedColumns) {
  std::mt19937 random(1702);
  const auto draw = [&](int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(random);
  };
  for (const Packing packing : kPackings) {
    for (const int columns : {2, 3, 4, 5}) {
      for (int repeat = 0; repeat < 24; ++repeat) {
        const int units = repeat < 12 ? repeat : draw(1, 60);
        Shape shape = MakeShape(packing, draw(1, 40), std::vector<int>(draw(1, 5), units));
        shape.columns = columns;
        shape.step = 1 + repeat / 3 % 4;
        shape.column_gap = repeat % 3;
        shape.equidistant = repeat % 5 > 0;
        if (repeat % 4 == 0) {
          shape.weights = Weights::kAllPositive;
          shape.only_largest_digits = true;
        }
        CheckAll(shape, repeat);
      }
    }
    // More than 16 bits hold.
    for (const int columns : {3, 5}) {
      Shape shape = MakeShape(packing, 9, {8000 / ChannelsOfUnit(packing), 8000 / ChannelsOfUnit(packing)});
      shape.columns = columns;
      shape.weights = Weights::kAllPositive;
      shape.only_largest_digits = true;
      CheckAll(shape, 1);
    }
  }
}

TEST(BinaryKernelsTest, SumEveryCountOfPixels) {
  for (const Packing packing : kPackings) {
    for (int pixels = 1; pixels <= 70; ++pixels) CheckAll(MakeShape(packing, pixels, {5, 3}), pixels);
  }
}

TEST(BinaryKernelsTest, SumEveryLengthOfAPiece) {
  for (const Packing packing : kPackings) {
    for (int units = 1; units <= 70; ++units) {
      Shape shape = MakeShape(packing, 3, {units});
      shape.equidistant = units % 2 > 0;
      CheckAll(shape, units);
    }
  }
}

// Extremes are where sums of few bits overflow.
TEST(BinaryKernelsTest, SumExtremes) {
  for (const Packing packing : kPackings) {
    for (const Weights weights : {Weights::kAllPositive, Weights::kAllNegative}) {
      for (const int units : {1, 10, 21, 22, 64, 129, 400, 1200}) {
        Shape shape = MakeShape(packing, 13, {units, 7});
        shape.weights = weights;
        shape.only_largest_digits = true;
        CheckAll(shape, units);
      }
    }
  }
}

// More than 16 bits hold.
TEST(BinaryKernelsTest, SumLongWindows) {
  for (const Packing packing : kPackings) {
    Shape shape = MakeShape(packing, 5, {24000 / ChannelsOfUnit(packing), 3});
    shape.weights = Weights::kAllPositive;
    shape.only_largest_digits = true;
    CheckAll(shape, 1);
  }
}

// A kernel with memory for the windows that there are in general has to do with less here.
TEST(BinaryKernelsTest, SumManyShortPieces) {
  for (const Packing packing : kPackings) {
    for (const bool equidistant : {true, false}) {
      Shape shape = MakeShape(packing, 70, std::vector<int>(90, 1));
      shape.equidistant = equidistant;
      CheckAll(shape, 1);
    }
  }
}

TEST(BinaryKernelsTest, LeaveOutEmptyPieces) {
  for (const Packing packing : kPackings) CheckAll(MakeShape(packing, 9, {0, 3, 0, 0, 2, 0}), 1);
}

TEST(BinaryKernelsTest, AreTold) {
  const std::vector<const BinaryKernel*>& kernels = BinaryKernels();
  ASSERT_FALSE(kernels.empty());
  EXPECT_STREQ(kernels[0]->name, "plain");
  EXPECT_TRUE(kernels[0]->available());
}

TEST(BinaryKernelsTest, ChooseTheFastest) {
  unsetenv("HWGQ_KERNEL");
  for (const PixelOrder order : {PixelOrder::kAny, PixelOrder::kOne, PixelOrder::kBeside}) {
    const BinaryKernel& chosen = ChooseBinaryKernel(order);
    EXPECT_TRUE(chosen.available());
    for (const BinaryKernel* kernel : BinaryKernels()) {
      if (!kernel->available()) continue;
      EXPECT_LE(kernel->rates.of(order), chosen.rates.of(order)) << kernel->name;
    }
    const NamedKernel named("");
    EXPECT_EQ(&ChooseBinaryKernel(order), &chosen);
  }
}

TEST(BinaryKernelsTest, ChooseByName) {
  for (const BinaryKernel* kernel : BinaryKernels()) {
    const NamedKernel named(kernel->name);
    if (kernel->available()) {
      EXPECT_EQ(&ChooseBinaryKernel(PixelOrder::kAny), kernel);
    } else {
      EXPECT_THROW(ChooseBinaryKernel(PixelOrder::kAny), std::runtime_error);
    }
  }
}

TEST(BinaryKernelsTest, SayWhichThereAre) {
  const NamedKernel named("abacus");
  try {
    ChooseBinaryKernel(PixelOrder::kAny);
    ADD_FAILURE() << "an unknown name was taken";
  } catch (const std::runtime_error& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("HWGQ_KERNEL: abacus"), std::string::npos) << message;
    for (const BinaryKernel* kernel : BinaryKernels()) {
      EXPECT_EQ(message.find(kernel->name) != std::string::npos, kernel->available()) << message;
    }
  }
}

}  // namespace lowbit
}  // namespace caffe
