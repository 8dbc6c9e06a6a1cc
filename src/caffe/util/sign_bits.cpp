#include "caffe/util/sign_bits.hpp"

#include <algorithm>
#include <cstring>

#include "caffe/util/parallel_for.hpp"
#include "caffe/util/target_clones.hpp"

namespace caffe {

namespace {

// Weights whose signs are found at a time.
constexpr int kPiece = 512;

template <typename Dtype>
[[gnu::always_inline]] inline void FindSigns(const Dtype* weights, int count, uint8_t* positive) {
  for (int i = 0; i < count; ++i) positive[i] = weights[i] >= 0;
}

CAFFE_TARGET_CLONES void Signs(const float* weights, int count, uint8_t* positive) {
  FindSigns(weights, count, positive);
}

CAFFE_TARGET_CLONES void Signs(const double* weights, int count, uint8_t* positive) {
  FindSigns(weights, count, positive);
}

// Eight bytes of 0 or 1 as bits of one, the first the lowest: no two terms of the product meet.
inline uint8_t Byte(const uint8_t* positive) {
  uint64_t bytes = 0;
  for (int bit = 0; bit < 8; ++bit) bytes |= uint64_t{positive[bit]} << 8 * bit;
  return static_cast<uint8_t>((bytes * 0x0102040810204080u) >> 56);
}

template <typename Dtype>
void UnpackRow(int64_t first, int64_t n, const uint8_t* signs, Dtype alpha, Dtype* binary) {
  const Dtype values[] = {-alpha, alpha};
  for (int64_t j = first; j < n; ++j) binary[j] = values[signs[j / 8] >> j % 8 & 1];
}

// A byte's signs at a time.
CAFFE_TARGET_CLONES void UnpackRow(int64_t n, const uint8_t* signs, float alpha, float* binary) {
  typedef float Floats __attribute__((vector_size(8 * sizeof(float)), aligned(4), may_alias));
  typedef int Ints __attribute__((vector_size(8 * sizeof(int))));
  const Ints bits = {1, 2, 4, 8, 16, 32, 64, 128};
  const Floats plus = Floats{} + alpha, minus = Floats{} - alpha;
  int64_t j = 0;
  for (; j + 8 <= n; j += 8) {
    *reinterpret_cast<Floats*>(binary + j) = (bits & static_cast<int>(signs[j / 8])) != 0 ? plus : minus;
  }
  UnpackRow(j, n, signs, alpha, binary);
}

void UnpackRow(int64_t n, const uint8_t* signs, double alpha, double* binary) {
  UnpackRow(0, n, signs, alpha, binary);
}

}  // namespace

template <typename Dtype>
void PackSigns(int64_t num_output, int64_t n, const Dtype* weights, uint8_t* signs) {
  ParallelFor(num_output, kElementGrain / std::max<int64_t>(n, 1) + 1, [=](int64_t begin, int64_t end) {
    uint8_t positive[kPiece];
    for (int64_t output = begin; output < end; ++output) {
      const Dtype* row = weights + output * n;
      uint8_t* to = signs + output * SignBytes(n);
      for (int64_t first = 0; first < n; first += kPiece) {
        const int count = static_cast<int>(std::min<int64_t>(kPiece, n - first));
        Signs(row + first, count, positive);
        std::fill(positive + count, positive + SignBytes(count) * 8, 0);
        for (int i = 0; i < count; i += 8) *to++ = Byte(positive + i);
      }
    }
  });
}

template <typename Dtype>
void UnpackSigns(int64_t num_output, int64_t n, const uint8_t* signs, const Dtype* alphas, Dtype* binary) {
  ParallelFor(num_output, kElementGrain / std::max<int64_t>(n, 1) + 1, [=](int64_t begin, int64_t end) {
    for (int64_t output = begin; output < end; ++output) {
      UnpackRow(n, signs + output * SignBytes(n), alphas[output], binary + output * n);
    }
  });
}

#define INSTANTIATE_SIGN_BITS(Dtype)                                        \
  template void PackSigns<Dtype>(int64_t, int64_t, const Dtype*, uint8_t*); \
  template void UnpackSigns<Dtype>(int64_t, int64_t, const uint8_t*, const Dtype*, Dtype*)
INSTANTIATE_SIGN_BITS(float);
INSTANTIATE_SIGN_BITS(double);
#undef INSTANTIATE_SIGN_BITS

}  // namespace caffe
