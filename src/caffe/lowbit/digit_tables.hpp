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

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_DIGIT_TABLES_HPP_
