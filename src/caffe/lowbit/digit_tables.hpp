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

/// sums[d0 + 4 d1][w]: the same of two digits and bits 4 and 5 of w, whatever its other bits are: what a unit
/// of Packing::kSixes adds to the sums of its first four digits.
struct PairSums {
  alignas(64) uint8_t sums[16][64];
};
extern const PairSums kPairSums;

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_DIGIT_TABLES_HPP_
