#ifndef CAFFE_UTIL_INT_DIVISOR_HPP_
#define CAFFE_UTIL_INT_DIVISOR_HPP_

#include <cstdint>

#include "caffe/util/device_alternate.hpp"

namespace caffe {

/// Divides by a number that is the same for many: by a multiplication, which on a GPU takes a few
/// instructions where a division takes thirty (Granlund and Montgomery, "Division by Invariant Integers using
/// Multiplication", 1994).
struct IntDivisor {
  uint32_t divisor = 1;
  uint32_t multiplier = 1;
  int shift = 0;

  IntDivisor() = default;
  /// @param number 1 to INT_MAX.
  explicit IntDivisor(int number) : divisor(static_cast<uint32_t>(number)) {
    while ((uint64_t{1} << shift) < divisor) ++shift;
    multiplier = static_cast<uint32_t>((((uint64_t{1} << shift) - divisor) << 32) / divisor + 1);
  }

  /// n / number for n from 0 to INT_MAX.
  CAFFE_HOST_DEVICE int Quotient(int n) const {
    const uint32_t dividend = static_cast<uint32_t>(n);
    const uint32_t high = static_cast<uint32_t>((static_cast<uint64_t>(dividend) * multiplier) >> 32);
    return static_cast<int>((high + dividend) >> shift);
  }

  /// n becomes its quotient. @return the remainder.
  CAFFE_HOST_DEVICE int Split(int* n) const {
    const int quotient = Quotient(*n);
    const int remainder = *n - quotient * static_cast<int>(divisor);
    *n = quotient;
    return remainder;
  }
};

}  // namespace caffe

#endif  // CAFFE_UTIL_INT_DIVISOR_HPP_
