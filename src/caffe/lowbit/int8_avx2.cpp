// Two products of 16 bits and their sum in one instruction. Compiled for AVX2.
#include <immintrin.h>

#include "caffe/lowbit/cpu_features.hpp"
#include "caffe/lowbit/int8_kernel.hpp"
#include "caffe/lowbit/int8_sums.hpp"

namespace caffe {
namespace lowbit {

namespace {

struct Avx2 {
  static constexpr int kLanes = 8, kValues = 2;
  using Vector = __m256i;

  static Vector Start(const int32_t* at) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)); }
  static Vector Weights(const int8_t* at) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
  }
  static Vector Everywhere(int values) { return _mm256_set1_epi32(values); }
  static Vector MultiplyAdd(Vector sums, Vector a, Vector b) {
    return _mm256_add_epi32(sums, _mm256_madd_epi16(a, b));
  }
  static void Store(Vector sums, float unit, const float* scales, float* to) {
    const __m256 values = _mm256_mul_ps(_mm256_set1_ps(unit), _mm256_cvtepi32_ps(sums));
    _mm256_storeu_ps(to, _mm256_mul_ps(values, _mm256_loadu_ps(scales)));
  }
};

}  // namespace

// Its products of bytes add two of them in 16 bits, which is not exact.
const Int8Kernel kInt8Avx2 = {
    "int8_avx2", HasAvx2, 24, {kInt8UnitBytes, 2 * Avx2::kLanes, nullptr, Int8Sums<Avx2, 6, 1>}, {}};

}  // namespace lowbit
}  // namespace caffe
