// Two products of 16 bits and their sum in one instruction. Compiled for AVX2.
#include <immintrin.h>

#include <cstring>

#include "caffe/lowbit/cpu_features.hpp"
#include "caffe/lowbit/int8_kernel.hpp"
#include "caffe/lowbit/int8_sums.hpp"

namespace caffe {
namespace lowbit {

namespace {

struct Avx2 {
  static constexpr int kLanes = 8;
  using Vector = __m256i;

  static Vector Zero() { return _mm256_setzero_si256(); }
  static Vector Weights(const int8_t* at) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
  }
  static Vector Two(const int16_t* at) {
    int two;
    std::memcpy(&two, at, sizeof(two));
    return _mm256_set1_epi32(two);
  }
  static Vector MultiplyAdd(Vector sums, Vector a, Vector b) {
    return _mm256_add_epi32(sums, _mm256_madd_epi16(a, b));
  }
  static void Store(Vector sums, float unit, const float* scales, float* to) {
    const __m256 values = _mm256_mul_ps(_mm256_set1_ps(unit), _mm256_cvtepi32_ps(sums));
    _mm256_storeu_ps(to, _mm256_mul_ps(values, _mm256_loadu_ps(scales)));
  }
};

}  // namespace

const Int8Kernel kInt8Avx2 = {"int8_avx2", HasAvx2, 2 * Avx2::kLanes, Int8Sums<Avx2, 6, 1>};

}  // namespace lowbit
}  // namespace caffe
