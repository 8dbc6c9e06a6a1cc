#ifndef CAFFE_LOWBIT_DIGITS_HPP_
#define CAFFE_LOWBIT_DIGITS_HPP_

#include <array>
#include <cstdint>
#include <vector>

#include "caffe/lowbit/binary_kernel.hpp"
#include "caffe/lowbit/plan.hpp"

// Codes of a quantizer as digits that kernels can sum.
namespace caffe {
namespace lowbit {

/// A part of the codes' levels: level(code) is the sum over planes of multiplier * (digit[code] - padding).
struct DigitPlane {
  std::array<uint8_t, kMaxLevels> digits;
  /// The digit that stands for 0, as outside the image.
  uint8_t padding;
  int32_t multiplier;

  /// Whether each code of `levels` codes is its own digit.
  bool IsIdentity(int levels) const;
};

/**
 * @brief Planes, as few as can be, of digits that are at most `largest`.
 *
 * Uniform levels 0, 1, 2, ... are numbers in base 4, or one digit where it is large enough; levels -m and +m
 * are the digits 0 and 2 with 1 for padding; others take a plane of zeros and ones for each level.
 */
std::vector<DigitPlane> DecomposeLevels(const int32_t* levels, int count, int largest);

/// Pixels whose codes, packed digits and sums of digits lie at one distance from each other.
struct PixelRow {
  const uint8_t* codes;
  int64_t code_step;
  /// Whole units apart; pixels that follow one another without a gap may be written beyond, up to the last
  /// one's end.
  uint8_t* packed;
  int64_t packed_step;
  /// Null where nobody asks for them.
  int32_t* sums;
  int sum_step;
  int pixels;
};

/**
 * @brief Packs the digits of pixels' codes, and pads those of each to whole units.
 *
 * @param row `channels` codes for each pixel; units of the packing, as many as hold the channels; and where
 * the sum of a pixel's digits goes
 * @param plane the digits
 * @param identity plane.IsIdentity of the codes that occur
 */
void PackDigits(Packing packing, const PixelRow& row, int channels, const DigitPlane& plane, bool identity);

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_DIGITS_HPP_
