#ifndef CAFFE_GPU_EMULATOR_CUDA_FP16_H_
#define CAFFE_GPU_EMULATOR_CUDA_FP16_H_

/// @file
/// __half, imitated: a sign, 5 bits of exponent, 10 of mantissa.

#include "small_float.h"

using __half = gpu_emulator::SmallFloat<5>;
using __half2 = gpu_emulator::SmallFloat2<__half>;
typedef __half half;
typedef __half2 half2;

GPU_EMULATOR_SMALL_FLOAT(half, half2)

inline __half __float2half(float x) { return x; }
inline __half __float2half_rn(float x) { return x; }
inline __half __double2half(double x) { return x; }
inline float __half2float(__half x) { return x; }
inline __half __int2half_rn(int x) { return static_cast<double>(x); }
inline int __half2int_rn(__half x) { return static_cast<int>(std::nearbyint(static_cast<float>(x))); }
inline int __half2int_rz(__half x) { return static_cast<int>(static_cast<float>(x)); }
inline short __half_as_short(__half x) { return static_cast<short>(x.bits()); }
inline unsigned short __half_as_ushort(__half x) { return x.bits(); }
inline __half __short_as_half(short bits) { return __half::FromBits(static_cast<uint16_t>(bits)); }
inline __half __ushort_as_half(unsigned short bits) { return __half::FromBits(bits); }
inline __half2 __float2half2_rn(float x) { return {x, x}; }
inline __half2 __floats2half2_rn(float x, float y) { return {x, y}; }
inline __half2 __float22half2_rn(float2 x) { return {x.x, x.y}; }
inline float2 __half22float2(__half2 x) { return {x.x, x.y}; }
inline __half2 __half2half2(__half x) { return {x, x}; }
inline __half2 make_half2(__half x, __half y) { return {x, y}; }
inline __half __low2half(__half2 x) { return x.x; }
inline __half __high2half(__half2 x) { return x.y; }

#endif  // CAFFE_GPU_EMULATOR_CUDA_FP16_H_
