#ifndef CAFFE_GPU_EMULATOR_CUDA_BF16_H_
#define CAFFE_GPU_EMULATOR_CUDA_BF16_H_

/// @file
/// __nv_bfloat16, imitated: a sign, 8 bits of exponent, 7 of mantissa.

#include "small_float.h"

using __nv_bfloat16 = gpu_emulator::SmallFloat<8>;
using __nv_bfloat162 = gpu_emulator::SmallFloat2<__nv_bfloat16>;
typedef __nv_bfloat16 nv_bfloat16;
typedef __nv_bfloat162 nv_bfloat162;

GPU_EMULATOR_SMALL_FLOAT(nv_bfloat16, nv_bfloat162)

inline __nv_bfloat16 __float2bfloat16(float x) { return x; }
inline __nv_bfloat16 __float2bfloat16_rn(float x) { return x; }
inline __nv_bfloat16 __double2bfloat16(double x) { return x; }
inline float __bfloat162float(__nv_bfloat16 x) { return x; }
inline __nv_bfloat16 __int2bfloat16_rn(int x) { return static_cast<double>(x); }
inline short __bfloat16_as_short(__nv_bfloat16 x) { return static_cast<short>(x.bits()); }
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 x) { return x.bits(); }
inline __nv_bfloat16 __short_as_bfloat16(short bits) {
  return __nv_bfloat16::FromBits(static_cast<uint16_t>(bits));
}
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short bits) { return __nv_bfloat16::FromBits(bits); }
inline __nv_bfloat162 __float2bfloat162_rn(float x) { return {x, x}; }
inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) { return {x, y}; }
inline __nv_bfloat162 __float22bfloat162_rn(float2 x) { return {x.x, x.y}; }
inline float2 __bfloat1622float2(__nv_bfloat162 x) { return {x.x, x.y}; }
inline __nv_bfloat162 __bfloat162bfloat162(__nv_bfloat16 x) { return {x, x}; }
inline __nv_bfloat162 make_bfloat162(__nv_bfloat16 x, __nv_bfloat16 y) { return {x, y}; }
inline __nv_bfloat16 __low2bfloat16(__nv_bfloat162 x) { return x.x; }
inline __nv_bfloat16 __high2bfloat16(__nv_bfloat162 x) { return x.y; }

#endif  // CAFFE_GPU_EMULATOR_CUDA_BF16_H_
