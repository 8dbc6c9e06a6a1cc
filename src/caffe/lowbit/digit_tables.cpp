#include "caffe/lowbit/digit_tables.hpp"

namespace caffe {
namespace lowbit {

namespace {

constexpr DigitSums MakeDigitSums() {
  DigitSums table{};
  for (int digits = 0; digits < 256; ++digits) {
    for (int weights = 0; weights < 16; ++weights) {
      int sum = 0;
      for (int i = 0; i < 4; ++i) sum += (weights >> i & 1) * (digits >> 2 * i & 3);
      table.sums[digits][weights] = static_cast<uint8_t>(sum);
    }
  }
  return table;
}

constexpr PairSums MakePairSums() {
  PairSums table{};
  for (int digits = 0; digits < 16; ++digits) {
    for (int weights = 0; weights < 64; ++weights) {
      const int sum = (weights >> 4 & 1) * (digits & 3) + (weights >> 5 & 1) * (digits >> 2);
      table.sums[digits][weights] = static_cast<uint8_t>(sum);
    }
  }
  return table;
}

}  // namespace

constexpr DigitSums kDigitSums = MakeDigitSums();
constexpr PairSums kPairSums = MakePairSums();

}  // namespace lowbit
}  // namespace caffe
