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

constexpr TripleSums MakeTripleSums() {
  TripleSums table{};
  for (int digits = 0; digits < 64; ++digits) {
    for (int weights = 0; weights < 64; ++weights) {
      int low = 0, high = 0;
      for (int i = 0; i < 3; ++i) {
        const int digit = digits >> 2 * i & 3;
        low += (weights >> i & 1) * digit;
        high += (weights >> (i + 3) & 1) * digit;
      }
      table.low[digits][weights] = static_cast<uint8_t>(low);
      table.high[digits][weights] = static_cast<uint8_t>(high);
    }
  }
  return table;
}

}  // namespace

constexpr DigitSums kDigitSums = MakeDigitSums();
constexpr TripleSums kTripleSums = MakeTripleSums();

}  // namespace lowbit
}  // namespace caffe
