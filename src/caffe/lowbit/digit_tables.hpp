#ifndef CAFFE_LOWBIT_DIGIT_TABLES_HPP_
#define CAFFE_LOWBIT_DIGIT_TABLES_HPP_

#include <cstdint>

namespace caffe {
namespace lowbit {

/// sums[d0 + 4 d1 + 16 d2 + 64 d3][w]: the sum of the digits d_i for which bit i of w is set. A unit of
/// Packing::kOffsets is the offset of its row.
struct DigitSums {
  alignas(64) uint8_t sums[256][16];
};
extern const DigitSums kDigitSums;

/// low[d0 + 4 d1 + 16 d2][w]: the same of three digits and bits 0 to 2 of w, whatever its other bits are, and
/// high of bits 3 to 5. A unit of Packing::kSixes is the offsets of two rows, whose sum is that of its
/// digits.
struct TripleSums {
  alignas(64) uint8_t low[64][64], high[64][64];
};
extern const TripleSums kTripleSums;

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_DIGIT_TABLES_HPP_
