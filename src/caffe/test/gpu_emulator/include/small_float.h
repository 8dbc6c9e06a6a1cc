#ifndef CAFFE_GPU_EMULATOR_SMALL_FLOAT_H_
#define CAFFE_GPU_EMULATOR_SMALL_FLOAT_H_

/// @file
/// Floats of 16 bits: __half and __nv_bfloat16 are two layouts of one template.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "host_defines.h"
#include "vector_types.h"

namespace gpu_emulator {

/**
 * @brief A float of 16 bits with that many of them in the exponent. Arithmetic is that of float, rounded to
 * the nearest even: of single operations that is exact.
 */
template <int kExponentBits>
class SmallFloat {
 public:
  SmallFloat() = default;
  // Explicit or not as in CUDA's headers: floats and integers become one by themselves.
  SmallFloat(float value) : bits_(Round(value)) {}
  SmallFloat(double value) : bits_(Round(RoundToOdd(value))) {}
  template <typename Int, typename = std::enable_if_t<std::is_integral<Int>::value>>
  SmallFloat(Int value) : SmallFloat(static_cast<double>(value)) {}
  operator float() const { return Value(); }

  static SmallFloat FromBits(uint16_t bits) {
    SmallFloat result;
    result.bits_ = bits;
    return result;
  }
  uint16_t bits() const { return bits_; }

  SmallFloat operator-() const { return FromBits(bits_ ^ 0x8000); }
  SmallFloat operator+() const { return *this; }
  friend SmallFloat operator+(SmallFloat a, SmallFloat b) { return a.Value() + b.Value(); }
  friend SmallFloat operator-(SmallFloat a, SmallFloat b) { return a.Value() - b.Value(); }
  friend SmallFloat operator*(SmallFloat a, SmallFloat b) { return a.Value() * b.Value(); }
  friend SmallFloat operator/(SmallFloat a, SmallFloat b) { return a.Value() / b.Value(); }
  SmallFloat& operator+=(SmallFloat other) { return *this = *this + other; }
  SmallFloat& operator-=(SmallFloat other) { return *this = *this - other; }
  SmallFloat& operator*=(SmallFloat other) { return *this = *this * other; }
  SmallFloat& operator/=(SmallFloat other) { return *this = *this / other; }
  friend bool operator==(SmallFloat a, SmallFloat b) { return a.Value() == b.Value(); }
  friend bool operator!=(SmallFloat a, SmallFloat b) { return a.Value() != b.Value(); }
  friend bool operator<(SmallFloat a, SmallFloat b) { return a.Value() < b.Value(); }
  friend bool operator<=(SmallFloat a, SmallFloat b) { return a.Value() <= b.Value(); }
  friend bool operator>(SmallFloat a, SmallFloat b) { return a.Value() > b.Value(); }
  friend bool operator>=(SmallFloat a, SmallFloat b) { return a.Value() >= b.Value(); }

  /// a * b + c, rounded once.
  static SmallFloat MultiplyAdd(SmallFloat a, SmallFloat b, SmallFloat c) {
    // In double the product and, but for a rest that only its last bit tells, the sum are exact.
    const double product = static_cast<double>(a.Value()) * b.Value();
    const double sum = product + c.Value();
    const double lost = std::abs(product) > std::abs(static_cast<double>(c.Value()))
                            ? c.Value() - (sum - product)
                            : product - (sum - c.Value());
    return SmallFloat(lost == 0 || !std::isfinite(sum) ? sum : OddTowards(sum, lost));
  }

 private:
  static constexpr int kMantissaBits = 15 - kExponentBits;
  static constexpr int kBias = (1 << (kExponentBits - 1)) - 1;
  static constexpr int kLargestExponent = (1 << kExponentBits) - 1;

  static uint32_t Bits(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    return bits;
  }

  static uint16_t Round(float value) {
    const uint32_t bits = Bits(value);
    const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
    if (value != value) return static_cast<uint16_t>(0x7fff);
    const uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude == 0) return sign;
    // value = mantissa * 2^(exponent - 23), with a mantissa of 24 bits but for float's smallest.
    const int float_exponent = static_cast<int>(magnitude >> 23);
    const uint32_t mantissa = float_exponent ? (magnitude & 0x7fffff) | 0x800000 : magnitude;
    const int exponent = (float_exponent ? float_exponent : 1) - 127 + kBias;
    // At exponent 1 and below the result has exponent 1 and loses bits instead.
    const int shift = 23 - kMantissaBits + (exponent < 1 ? 1 - exponent : 0);
    if (float_exponent == 0xff) return static_cast<uint16_t>(sign | kLargestExponent << kMantissaBits);
    if (shift > 31) return sign;
    uint32_t kept = mantissa >> shift;
    const uint32_t rest = mantissa & ((1u << shift) - 1), half = 1u << (shift - 1);
    if (rest > half || (rest == half && (kept & 1))) ++kept;
    // The mantissa's top bit adds one to the exponent that lies above; so does a carry out of it.
    const uint32_t result = (static_cast<uint32_t>(exponent < 1 ? 0 : exponent - 1) << kMantissaBits) + kept;
    const uint32_t infinity = static_cast<uint32_t>(kLargestExponent) << kMantissaBits;
    return static_cast<uint16_t>(sign | (result < infinity ? result : infinity));
  }

  float Value() const {
    const int exponent = bits_ >> kMantissaBits & kLargestExponent;
    const int mantissa = bits_ & ((1 << kMantissaBits) - 1);
    float magnitude;
    if (exponent == kLargestExponent) {
      magnitude = mantissa ? NAN : INFINITY;
    } else if (exponent == 0) {
      magnitude = std::ldexp(static_cast<float>(mantissa), 1 - kBias - kMantissaBits);
    } else {
      const uint32_t bits = static_cast<uint32_t>(exponent - kBias + 127) << 23 |
                            static_cast<uint32_t>(mantissa) << (23 - kMantissaBits);
      std::memcpy(&magnitude, &bits, sizeof(magnitude));
    }
    return bits_ & 0x8000 ? -magnitude : magnitude;
  }

  /// sum's neighbour towards what is missing from it, if sum's last bit is even: then rounding again is
  /// right.
  static double OddTowards(double sum, double lost) {
    uint64_t bits;
    std::memcpy(&bits, &sum, sizeof(bits));
    if (bits & 1) return sum;
    return std::nextafter(sum, lost > 0 ? INFINITY : -INFINITY);
  }

  /// To a float whose last bit says where anything was lost, so that rounding it again is right.
  static float RoundToOdd(double value) {
    const float nearest = static_cast<float>(value);
    if (!(std::isfinite(value) && std::isfinite(nearest)) || nearest == value || (Bits(nearest) & 1)) {
      return nearest;
    }
    return std::nextafter(nearest, value > nearest ? INFINITY : -INFINITY);
  }

  uint16_t bits_;
};

template <typename T>
struct alignas(4) SmallFloat2 {
  T x, y;
  SmallFloat2() = default;
  SmallFloat2(T in_x, T in_y) : x(in_x), y(in_y) {}
};

template <typename T>
SmallFloat2<T> operator+(SmallFloat2<T> a, SmallFloat2<T> b) {
  return {a.x + b.x, a.y + b.y};
}
template <typename T>
SmallFloat2<T> operator-(SmallFloat2<T> a, SmallFloat2<T> b) {
  return {a.x - b.x, a.y - b.y};
}
template <typename T>
SmallFloat2<T> operator*(SmallFloat2<T> a, SmallFloat2<T> b) {
  return {a.x * b.x, a.y * b.y};
}

}  // namespace gpu_emulator

/// The functions that __half and __nv_bfloat16 both have.
#define GPU_EMULATOR_SMALL_FLOAT(type, pair)                                                               \
  inline type __hadd(type a, type b) { return a + b; }                                                     \
  inline type __hsub(type a, type b) { return a - b; }                                                     \
  inline type __hmul(type a, type b) { return a * b; }                                                     \
  inline type __hdiv(type a, type b) { return a / b; }                                                     \
  inline type __hfma(type a, type b, type c) { return type::MultiplyAdd(a, b, c); }                        \
  inline type __hneg(type a) { return -a; }                                                                \
  inline type __habs(type a) { return type::FromBits(a.bits() & 0x7fff); }                                 \
  inline bool __heq(type a, type b) { return a == b; }                                                     \
  inline bool __hne(type a, type b) { return a != b; }                                                     \
  inline bool __hlt(type a, type b) { return a < b; }                                                      \
  inline bool __hle(type a, type b) { return a <= b; }                                                     \
  inline bool __hgt(type a, type b) { return a > b; }                                                      \
  inline bool __hge(type a, type b) { return a >= b; }                                                     \
  inline bool __hisnan(type a) { return a != a; }                                                          \
  inline int __hisinf(type a) { return std::isinf(static_cast<float>(a)) ? (a < type(0.f) ? -1 : 1) : 0; } \
  inline type __hmax(type a, type b) {                                                                     \
    return type(std::fmax(static_cast<float>(a), static_cast<float>(b)));                                  \
  }                                                                                                        \
  inline type __hmin(type a, type b) {                                                                     \
    return type(std::fmin(static_cast<float>(a), static_cast<float>(b)));                                  \
  }                                                                                                        \
  inline type hexp(type a) { return type(std::exp(static_cast<float>(a))); }                               \
  inline type hlog(type a) { return type(std::log(static_cast<float>(a))); }                               \
  inline type hsqrt(type a) { return type(std::sqrt(static_cast<float>(a))); }                             \
  inline type hrsqrt(type a) { return type(1 / std::sqrt(static_cast<float>(a))); }                        \
  inline type hrcp(type a) { return type(1 / static_cast<float>(a)); }                                     \
  inline type hrint(type a) { return type(std::nearbyint(static_cast<float>(a))); }                        \
  inline type hfloor(type a) { return type(std::floor(static_cast<float>(a))); }                           \
  inline pair __hadd2(pair a, pair b) { return a + b; }                                                    \
  inline pair __hsub2(pair a, pair b) { return a - b; }                                                    \
  inline pair __hmul2(pair a, pair b) { return a * b; }                                                    \
  inline pair __hfma2(pair a, pair b, pair c) { return {__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)}; }   \
  inline pair __hmax2(pair a, pair b) { return {__hmax(a.x, b.x), __hmax(a.y, b.y)}; }                     \
  inline pair __hmin2(pair a, pair b) { return {__hmin(a.x, b.x), __hmin(a.y, b.y)}; }                     \
  inline pair __hneg2(pair a) { return {-a.x, -a.y}; }                                                     \
  inline float __low2float(pair a) { return a.x; }                                                         \
  inline float __high2float(pair a) { return a.y; }                                                        \
  inline pair __halves2##pair(type x, type y) { return {x, y}; }

#endif  // CAFFE_GPU_EMULATOR_SMALL_FLOAT_H_
