#ifndef CAFFE_LOWBIT_CUDA_FLOAT_MMA_CUH_
#define CAFFE_LOWBIT_CUDA_FLOAT_MMA_CUH_

/// @file
/// Products of floats on tensor cores, which take their first eleven bits: the instructions, see mma.cuh.

#include "caffe/util/mma.cuh"

namespace caffe {
namespace mma {

/// The nearest number of eleven bits (TF32), as the bits of a float.
inline __device__ uint32_t RoundToTf32(float x) {
#ifdef CAFFE_GPU_EMULATOR
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  const bool is_finite = (bits & 0x7f800000u) != 0x7f800000u;
  return is_finite ? (bits + 0x1000u) & ~0x1fffu : bits;
#else
  uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
  return bits;
#endif
}

/**
 * @brief sums += a b, a product of 16 x 8 and 8 x 8 numbers of eleven bits, as RoundToTf32 makes them.
 *
 * By all threads of a warp. With g = lane / 4 and t = lane % 4, a thread has
 * - of a: a[i] is column t + 4 (i / 2) of row g + 8 (i % 2);
 * - of b: b[i] is row t + 4 i of column g;
 * - of sums: sums[i] is column 2 t + i % 2 of row g + 8 (i / 2).
 */
inline __device__ void MultiplyAddTf32(float (&sums)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#ifdef CAFFE_GPU_EMULATOR
  struct Operands {
    float a[4], b[2];
  };
  Operands mine;
  std::memcpy(mine.a, a, sizeof(mine.a));
  std::memcpy(mine.b, b, sizeof(mine.b));
  const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
  const auto product = [=](const gpu_emulator::WarpValues<Operands>& warp) {
    std::array<double, 4> added = {};
    for (int i = 0; i < 4; ++i) {
      for (int k = 0; k < 8; ++k) {
        const float row = warp[4 * g + k % 4].a[k / 4 * 2 + i / 2];
        const float column = warp[4 * (2 * t + i % 2) + k % 4].b[k / 4];
        added[i] += double{row} * column;
      }
    }
    return added;
  };
  const std::array<double, 4> added =
      gpu_emulator::WarpExchange(kWholeWarp, "mma.m16n8k8.tf32", mine, product);
  for (int i = 0; i < 4; ++i) sums[i] = static_cast<float>(sums[i] + added[i]);
#else
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

/// As StartCopy, of a float.
inline __device__ void StartCopy(float* shared, const float* global, bool exists) {
#ifdef CAFFE_GPU_EMULATOR
  *shared = exists ? *global : 0.f;
#else
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;"
               :
               : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(shared))), "l"(global),
                 "r"(exists ? 4 : 0)
               : "memory");
#endif
}

}  // namespace mma
}  // namespace caffe

#endif  // CAFFE_LOWBIT_CUDA_FLOAT_MMA_CUH_
