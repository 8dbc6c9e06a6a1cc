#include "caffe/lowbit/digits.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "caffe/test/emulated_kernels.hpp"

// Only of libhwgq and GoogleTest, so that scripts/test_neon.sh can build it for another processor.

namespace caffe {
namespace lowbit {

namespace {

const Packing kPackings[] = {Packing::kBytes, Packing::kOffsets, Packing::kSixes, Packing::kPlanes};

int UnitsOf(Packing packing, int channels) {
  return (channels + ChannelsOfUnit(packing) - 1) / ChannelsOfUnit(packing);
}

// The digit of a channel in packed units.
int DigitAt(Packing packing, const uint8_t* packed, int channel) {
  const uint8_t* unit = packed + channel / ChannelsOfUnit(packing) * BytesOfUnit(packing);
  const int place = channel % ChannelsOfUnit(packing);
  if (packing == Packing::kBytes) return unit[place];
  if (packing == Packing::kOffsets) {
    uint16_t offset;
    std::memcpy(&offset, unit, sizeof(offset));
    EXPECT_EQ(offset % 16, 0);
    return offset / 16 >> 2 * place & 3;
  }
  if (packing == Packing::kSixes) {
    uint16_t offsets[2];
    std::memcpy(offsets, unit, sizeof(offsets));
    EXPECT_EQ(offsets[0] % 64, 0);
    EXPECT_EQ(offsets[1] % 64, 0);
    return offsets[place / 3] / 64 >> 2 * (place % 3) & 3;
  }
  uint64_t planes[2];
  std::memcpy(planes, unit, sizeof(planes));
  return static_cast<int>((planes[0] >> place & 1) + 2 * (planes[1] >> place & 1));
}

// All levels that the format allows, in a few of the ways that there are.
std::vector<std::vector<int32_t>> ManyLevels() {
  std::mt19937 random(5);
  std::vector<std::vector<int32_t>> all = {{0},       {5},     {-1, 1},  {1, -1}, {-70000, 70000},
                                           {0, 0, 0}, {-1, 2}, {0, 2, 4}};
  for (int count = 1; count <= kMaxLevels; ++count) {
    std::vector<int32_t> uniform, others;
    for (int j = 0; j < count; ++j) {
      uniform.push_back(j);
      others.push_back(std::uniform_int_distribution<int32_t>(-1000, 1000)(random));
    }
    all.push_back(uniform);
    all.push_back(others);
  }
  return all;
}

std::string Text(const std::vector<int32_t>& levels) {
  std::string text;
  for (const int32_t level : levels) text += " " + std::to_string(level);
  return text;
}

}  // namespace

TEST(DigitsTest, PlanesAddUpToTheLevels) {
  for (const int largest : {3, 127}) {
    for (const std::vector<int32_t>& levels : ManyLevels()) {
      SCOPED_TRACE("levels" + Text(levels));
      const int count = static_cast<int>(levels.size());
      const std::vector<DigitPlane> planes = DecomposeLevels(levels.data(), count, largest);
      for (int code = 0; code < count; ++code) {
        int64_t sum = 0;
        for (const DigitPlane& plane : planes) {
          EXPECT_LE(plane.digits[code], largest);
          EXPECT_LE(plane.padding, largest);
          sum += int64_t{plane.multiplier} * (plane.digits[code] - plane.padding);
        }
        EXPECT_EQ(sum, levels[code]) << "code " << code;
      }
    }
  }
}

TEST(DigitsTest, TakeFewPlanes) {
  const auto planes = [](const std::vector<int32_t>& levels, int largest) {
    return DecomposeLevels(levels.data(), static_cast<int>(levels.size()), largest).size();
  };
  std::vector<int32_t> uniform;
  for (int j = 0; j < kMaxLevels; ++j) uniform.push_back(j);
  EXPECT_EQ(planes(uniform, 3), 2u);
  EXPECT_EQ(planes(uniform, 127), 1u);
  EXPECT_EQ(planes({0, 1, 2, 3}, 3), 1u);
  EXPECT_EQ(planes({0, 1, 2, 3, 4}, 3), 2u);
  EXPECT_EQ(planes({-9, 9}, 3), 1u);
  EXPECT_EQ(planes({0, 3, 5}, 3), 2u);
}

TEST(DigitsTest, KnowWhichCodesAreTheirDigits) {
  DigitPlane plane = {{0, 1, 2, 5}, 0, 1};
  EXPECT_TRUE(plane.IsIdentity(1));
  EXPECT_TRUE(plane.IsIdentity(3));
  EXPECT_FALSE(plane.IsIdentity(4));
}

TEST(DigitsTest, PackAndUnpack) {
  std::mt19937 random(6);
  std::vector<int> sizes;
  for (int channels = 1; channels <= 140; ++channels) sizes.push_back(channels);
  sizes.insert(sizes.end(), {255, 256, 257, 512, 1000});
  for (const Packing packing : kPackings) {
    for (const int channels : sizes) {
      for (const int count : {2, 4, 16}) {
        SCOPED_TRACE(std::to_string(channels) + " channels, " + std::to_string(count) + " codes");
        std::vector<int32_t> levels;
        for (int j = 0; j < count; ++j) levels.push_back(j);
        std::vector<uint8_t> codes(channels);
        for (uint8_t& code : codes) code = static_cast<uint8_t>(random() % count);
        for (const DigitPlane& plane : DecomposeLevels(levels.data(), count, LargestDigit(packing))) {
          const int units = UnitsOf(packing, channels), bytes = units * BytesOfUnit(packing);
          constexpr uint8_t kGarbage = 0xeb;
          std::vector<uint8_t> packed(bytes + 64, kGarbage);
          int32_t sum = -1;
          PackDigits(packing, {codes.data(), 0, packed.data(), 0, &sum, 0, 1}, channels, plane,
                     plane.IsIdentity(count));
          int32_t expected = 0;
          for (int c = 0; c < units * ChannelsOfUnit(packing); ++c) {
            // Behind the last channel are zeros.
            const int digit = c < channels ? plane.digits[codes[c]] : 0;
            ASSERT_EQ(DigitAt(packing, packed.data(), c), digit) << "channel " << c;
            expected += digit;
          }
          EXPECT_EQ(sum, expected);
          EXPECT_EQ(std::count(packed.begin() + bytes, packed.end(), kGarbage), 64);
        }
      }
    }
  }
}

// One after the other, as pixels of a group among others, or the pixels that a stride leaves.
TEST(DigitsTest, PackRowsOfPixels) {
  std::mt19937 random(7);
  const auto draw = [&](int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(random);
  };
  const DigitPlane plane = DecomposeLevels(std::vector<int32_t>{0, 1, 2, 3}.data(), 4, 3)[0];
  for (const Packing packing : kPackings) {
    for (int repeat = 0; repeat < 400; ++repeat) {
      const int channels = 1 + repeat % 200, pixels = draw(1, 12);
      const int bytes = UnitsOf(packing, channels) * BytesOfUnit(packing);
      const int code_step = channels + draw(0, 1) * draw(0, 70);
      const int packed_step = bytes + draw(0, 1) * draw(1, 5) * BytesOfUnit(packing), sum_step = draw(1, 3);
      SCOPED_TRACE(std::to_string(channels) + " channels, " + std::to_string(pixels) + " pixels, steps of " +
                   std::to_string(code_step) + " and " + std::to_string(packed_step));
      std::vector<uint8_t> codes(code_step * pixels);
      for (uint8_t& code : codes) code = static_cast<uint8_t>(draw(0, 3));
      constexpr uint8_t kGarbage = 0xeb;
      std::vector<uint8_t> expected(packed_step * pixels + 64, kGarbage), packed = expected;
      std::vector<int32_t> expected_sums(sum_step * pixels, -1), sums = expected_sums;
      for (int p = 0; p < pixels; ++p) {
        // Codes that are not known to be digits are packed from a copy, padded with zeros.
        PackDigits(
            packing,
            {&codes[p * code_step], 0, &expected[p * packed_step], 0, &expected_sums[p * sum_step], 0, 1},
            channels, plane, false);
      }
      const PixelRow row = {codes.data(), code_step, packed.data(), packed_step,
                            sums.data(),  sum_step,  pixels};
      PackDigits(packing, row, channels, plane, true);
      EXPECT_EQ(packed, expected);
      EXPECT_EQ(sums, expected_sums);
      PixelRow without_sums = row;
      without_sums.sums = nullptr;
      for (const bool identity : {true, false}) {
        std::fill(packed.begin(), packed.end(), kGarbage);
        PackDigits(packing, without_sums, channels, plane, identity);
        EXPECT_EQ(packed, expected);
      }
      if (packing != Packing::kSixes) continue;
      std::fill(packed.begin(), packed.end(), kGarbage);
      std::fill(sums.begin(), sums.end(), -1);
      EmulatedPackSixes(row, channels);
      EXPECT_EQ(packed, expected);
      EXPECT_EQ(sums, expected_sums);
    }
  }
}

// More than 16 bits of a word hold.
TEST(DigitsTest, SumManyDigits) {
  const int channels = 1 << 17;
  const std::vector<uint8_t> codes(channels, 15);
  DigitPlane plane = {{}, 0, 1};
  for (int code = 0; code < kMaxLevels; ++code) plane.digits[code] = static_cast<uint8_t>(code);
  std::vector<uint8_t> packed(channels);
  for (const bool identity : {true, false}) {
    int32_t sum = -1;
    PackDigits(Packing::kBytes, {codes.data(), 0, packed.data(), 0, &sum, 0, 1}, channels, plane, identity);
    EXPECT_EQ(sum, 15 * channels);
  }
}

}  // namespace lowbit
}  // namespace caffe
