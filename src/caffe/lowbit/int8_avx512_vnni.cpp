// Two products of 16 bits and two additions of 32 in one instruction, or four of 8 bits. Compiled for AVX-512
// F, BW, DQ, VL and VNNI.
#include "caffe/lowbit/cpu_features.hpp"
#include "caffe/lowbit/int8_kernel.hpp"
#include "caffe/lowbit/int8_sums.hpp"
#include "caffe/lowbit/simd_avx512.hpp"

namespace caffe {
namespace lowbit {

namespace {

struct Vnni {
  static constexpr int kLanes = 16;
  using Vector = __m512i;

  static Vector Start(const int32_t* at) { return _mm512_loadu_si512(at); }
  static Vector Everywhere(int values) { return _mm512_set1_epi32(values); }
  static void Store(Vector sums, float unit, const float* scales, float* to) {
    const __m512 values = _mm512_mul_ps(_mm512_set1_ps(unit), _mm512_cvtepi32_ps(sums));
    _mm512_storeu_ps(to, _mm512_mul_ps(values, _mm512_loadu_ps(scales)));
  }
};

struct Words : Vnni {
  static constexpr int kValues = 2;

  static Vector Weights(const int8_t* at) {
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
  }
  static Vector MultiplyAdd(Vector sums, Vector weights, Vector values) {
    return _mm512_dpwssd_epi32(sums, weights, values);
  }
};

struct Bytes : Vnni {
  static constexpr int kValues = 4;

  static Vector Weights(const int8_t* at) { return _mm512_loadu_si512(at); }
  static Vector MultiplyAdd(Vector sums, Vector weights, Vector values) {
    return _mm512_dpbusd_epi32(sums, values, weights);
  }
};

}  // namespace

const Int8Kernel kInt8Vnni = {"int8_vnni",
                              HasAvx512Vnni,
                              24,
                              {kInt8UnitBytes, 2 * Vnni::kLanes, nullptr, Int8Sums<Words, 6, 2>},
                              {kInt8UnitBytes, 2 * Vnni::kLanes, nullptr, Int8Sums<Bytes, 6, 2>}};

}  // namespace lowbit
}  // namespace caffe
