#ifndef CAFFE_GPU_EMULATOR_DEVICE_FUNCTIONS_H_
#define CAFFE_GPU_EMULATOR_DEVICE_FUNCTIONS_H_

/// @file
/// What kernels call, imitated: barriers, warp collectives, atomics, intrinsics and CUDA's mathematics.

#include <math.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <type_traits>

#include "device_launch_parameters.h"
#include "gpu_emulator.h"
#include "host_defines.h"

// ---- Barriers and fences ----

inline void __syncthreads() { gpu_emulator::SyncThreads(0); }
inline int __syncthreads_count(int predicate) { return gpu_emulator::SyncThreads(predicate); }
inline int __syncthreads_or(int predicate) { return gpu_emulator::SyncThreads(predicate) != 0; }
inline int __syncthreads_and(int predicate) { return gpu_emulator::SyncThreads(!predicate) == 0; }
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_block() { __threadfence(); }
inline void __threadfence_system() { __threadfence(); }
[[noreturn]] inline void __trap() { throw std::logic_error("emulated GPU: a kernel called __trap()"); }
inline void __nanosleep(unsigned) {}

// ---- Warps ----

inline void __syncwarp(unsigned mask = 0xffffffff) {
  gpu_emulator::WarpExchange(mask, "__syncwarp", 0, [](const gpu_emulator::WarpValues<int>&) { return 0; });
}
/// The lanes of a warp never run in step here: each is alone.
inline unsigned __activemask() { return 1u << gpu_emulator::LaneId(); }

/// From lane src of the caller's segment of width lanes.
template <typename T>
T __shfl_sync(unsigned mask, T value, int src, int width = 32) {
  const int lane = gpu_emulator::LaneId();
  const int from = (lane & ~(width - 1)) | (src & (width - 1));
  return gpu_emulator::WarpExchange(mask, "__shfl_sync", value,
                                    [=](const gpu_emulator::WarpValues<T>& all) { return all[from]; });
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const int lane = gpu_emulator::LaneId();
  const int from = lane - static_cast<int>(delta);
  const bool inside = from >= (lane & ~(width - 1));
  return gpu_emulator::WarpExchange(
      mask, "__shfl_up_sync", value,
      [=](const gpu_emulator::WarpValues<T>& all) { return all[inside ? from : lane]; });
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const int lane = gpu_emulator::LaneId();
  const int from = lane + static_cast<int>(delta);
  const bool inside = from < (lane & ~(width - 1)) + width;
  return gpu_emulator::WarpExchange(
      mask, "__shfl_down_sync", value,
      [=](const gpu_emulator::WarpValues<T>& all) { return all[inside ? from : lane]; });
}
/// A lane beyond the caller's segment is not read: it keeps its own value then. Earlier segments can be read.
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32) {
  const int lane = gpu_emulator::LaneId();
  const int from = lane ^ lane_mask;
  const bool inside = from < (lane & ~(width - 1)) + width;
  return gpu_emulator::WarpExchange(
      mask, "__shfl_xor_sync", value,
      [=](const gpu_emulator::WarpValues<T>& all) { return all[inside ? from : lane]; });
}

inline unsigned __ballot_sync(unsigned mask, int predicate) {
  return gpu_emulator::WarpExchange(mask, "__ballot_sync", predicate,
                                    [](const gpu_emulator::WarpValues<int>& all) {
                                      unsigned bits = 0;
                                      for (int lane = 0; lane < 32; ++lane) {
                                        if (all.has(lane) && all[lane]) bits |= 1u << lane;
                                      }
                                      return bits;
                                    });
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, !predicate) == 0; }

template <typename T>
unsigned __match_any_sync(unsigned mask, T value) {
  return gpu_emulator::WarpExchange(mask, "__match_any_sync", value,
                                    [=](const gpu_emulator::WarpValues<T>& all) {
                                      unsigned bits = 0;
                                      for (int lane = 0; lane < 32; ++lane) {
                                        if (all.has(lane) && all[lane] == value) bits |= 1u << lane;
                                      }
                                      return bits;
                                    });
}

namespace gpu_emulator {

/// combine of what the lanes in mask bring, for all of them.
template <typename T, typename Combine>
T WarpReduce(unsigned mask, const char* name, T value, const Combine& combine) {
  return WarpExchange(mask, name, value, [&](const WarpValues<T>& all) {
    bool first = true;
    T result = value;
    for (int lane = 0; lane < 32; ++lane) {
      if (!all.has(lane)) continue;
      result = first ? all[lane] : combine(result, all[lane]);
      first = false;
    }
    return result;
  });
}

}  // namespace gpu_emulator

#define GPU_EMULATOR_WARP_REDUCE(type, name, expression)                                                    \
  inline type name(unsigned mask, type value) {                                                             \
    return gpu_emulator::WarpReduce(mask, #name, value, [](type a, type b) -> type { return expression; }); \
  }
GPU_EMULATOR_WARP_REDUCE(unsigned, __reduce_add_sync, a + b)
GPU_EMULATOR_WARP_REDUCE(unsigned, __reduce_min_sync, a < b ? a : b)
GPU_EMULATOR_WARP_REDUCE(unsigned, __reduce_max_sync, a < b ? b : a)
GPU_EMULATOR_WARP_REDUCE(unsigned, __reduce_and_sync, a& b)
GPU_EMULATOR_WARP_REDUCE(unsigned, __reduce_or_sync, a | b)
GPU_EMULATOR_WARP_REDUCE(unsigned, __reduce_xor_sync, a ^ b)
GPU_EMULATOR_WARP_REDUCE(int, __reduce_add_sync, static_cast<int>(static_cast<unsigned>(a) + b))
GPU_EMULATOR_WARP_REDUCE(int, __reduce_min_sync, a < b ? a : b)
GPU_EMULATOR_WARP_REDUCE(int, __reduce_max_sync, a < b ? b : a)
#undef GPU_EMULATOR_WARP_REDUCE

// ---- Bits ----

namespace gpu_emulator {

template <typename To, typename From>
To BitCast(From from) {
  static_assert(sizeof(To) == sizeof(From), "the same bits");
  To to;
  std::memcpy(&to, &from, sizeof(to));
  return to;
}

inline unsigned ByteOf(unsigned long long bytes, unsigned i) {
  return static_cast<unsigned>(bytes >> (8 * i)) & 0xff;
}

}  // namespace gpu_emulator

inline int __float_as_int(float x) { return gpu_emulator::BitCast<int>(x); }
inline unsigned __float_as_uint(float x) { return gpu_emulator::BitCast<unsigned>(x); }
inline float __int_as_float(int x) { return gpu_emulator::BitCast<float>(x); }
inline float __uint_as_float(unsigned x) { return gpu_emulator::BitCast<float>(x); }
inline long long __double_as_longlong(double x) { return gpu_emulator::BitCast<long long>(x); }
inline double __longlong_as_double(long long x) { return gpu_emulator::BitCast<double>(x); }
inline int __double2hiint(double x) { return static_cast<int>(__double_as_longlong(x) >> 32); }
inline int __double2loint(double x) { return static_cast<int>(__double_as_longlong(x)); }
inline double __hiloint2double(int high, int low) {
  return __longlong_as_double(static_cast<long long>(static_cast<unsigned long long>(high) << 32) |
                              static_cast<unsigned>(low));
}

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll(static_cast<unsigned long long>(x)) : 64; }
inline unsigned __brev(unsigned x) {
  unsigned reversed = 0;
  for (int i = 0; i < 32; ++i) reversed |= ((x >> i) & 1u) << (31 - i);
  return reversed;
}
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
  const unsigned long long bytes = (static_cast<unsigned long long>(y) << 32) | x;
  unsigned result = 0;
  for (int i = 0; i < 4; ++i) {
    const unsigned nibble = (selector >> (4 * i)) & 0xf;
    unsigned byte = gpu_emulator::ByteOf(bytes, nibble & 7);
    // The nibble's top bit asks for eight copies of the byte's sign.
    if (nibble & 8) byte = byte & 0x80 ? 0xff : 0;
    result |= byte << (8 * i);
  }
  return result;
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>((((static_cast<unsigned long long>(high) << 32) | low) << (shift & 31)) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>(((static_cast<unsigned long long>(high) << 32) | low) >> (shift & 31));
}

// ---- Integers ----

inline int __mulhi(int a, int b) { return static_cast<int>((static_cast<long long>(a) * b) >> 32); }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>((static_cast<unsigned long long>(a) * b) >> 32);
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>((static_cast<unsigned __int128>(a) * b) >> 64);
}

namespace gpu_emulator {

template <typename A, typename B, typename C>
C Dp4a(unsigned a, unsigned b, C c) {
  unsigned sum = static_cast<unsigned>(c);
  for (int i = 0; i < 4; ++i) {
    sum += static_cast<unsigned>(static_cast<A>(ByteOf(a, i)) * static_cast<B>(ByteOf(b, i)));
  }
  return static_cast<C>(sum);
}

}  // namespace gpu_emulator

inline int __dp4a(int a, int b, int c) { return gpu_emulator::Dp4a<int8_t, int8_t>(a, b, c); }
inline unsigned __dp4a(unsigned a, unsigned b, unsigned c) {
  return gpu_emulator::Dp4a<uint8_t, uint8_t>(a, b, c);
}

#define GPU_EMULATOR_MIN_MAX(type)                             \
  constexpr type min(type a, type b) { return b < a ? b : a; } \
  constexpr type max(type a, type b) { return a < b ? b : a; }
GPU_EMULATOR_MIN_MAX(int)
GPU_EMULATOR_MIN_MAX(unsigned)
GPU_EMULATOR_MIN_MAX(long)
GPU_EMULATOR_MIN_MAX(unsigned long)
GPU_EMULATOR_MIN_MAX(long long)
GPU_EMULATOR_MIN_MAX(unsigned long long)
#undef GPU_EMULATOR_MIN_MAX
constexpr unsigned min(int a, unsigned b) { return min(static_cast<unsigned>(a), b); }
constexpr unsigned min(unsigned a, int b) { return min(a, static_cast<unsigned>(b)); }
constexpr unsigned max(int a, unsigned b) { return max(static_cast<unsigned>(a), b); }
constexpr unsigned max(unsigned a, int b) { return max(a, static_cast<unsigned>(b)); }
// Of floats, as fmin and fmax: a number beats no number.
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
inline double min(float a, double b) { return fmin(a, b); }
inline double min(double a, float b) { return fmin(a, b); }
inline double max(float a, double b) { return fmax(a, b); }
inline double max(double a, float b) { return fmax(a, b); }

// ---- Conversions: towards the nearest (even), zero, minus and plus infinity; out of range is held at the
// end, and no number gives 0 ----

namespace gpu_emulator {

template <typename Int, typename Float>
Int ToInteger(Float x) {
  if (x != x) return 0;
  // The end above is not a Float itself for wide integers; the next power of two is.
  const Float above = ldexp(static_cast<Float>(1), std::numeric_limits<Int>::digits);
  if (x >= above) return std::numeric_limits<Int>::max();
  if (x <= static_cast<Float>(std::numeric_limits<Int>::min())) return std::numeric_limits<Int>::min();
  return static_cast<Int>(x);
}

}  // namespace gpu_emulator

#define GPU_EMULATOR_TO_INTEGER(from, type, name)                                                \
  inline type __##name##_rn(from x) { return gpu_emulator::ToInteger<type>(std::nearbyint(x)); } \
  inline type __##name##_rz(from x) { return gpu_emulator::ToInteger<type>(std::trunc(x)); }     \
  inline type __##name##_rd(from x) { return gpu_emulator::ToInteger<type>(std::floor(x)); }     \
  inline type __##name##_ru(from x) { return gpu_emulator::ToInteger<type>(std::ceil(x)); }
GPU_EMULATOR_TO_INTEGER(float, int, float2int)
GPU_EMULATOR_TO_INTEGER(float, unsigned, float2uint)
GPU_EMULATOR_TO_INTEGER(float, long long, float2ll)
GPU_EMULATOR_TO_INTEGER(float, unsigned long long, float2ull)
GPU_EMULATOR_TO_INTEGER(double, int, double2int)
GPU_EMULATOR_TO_INTEGER(double, unsigned, double2uint)
GPU_EMULATOR_TO_INTEGER(double, long long, double2ll)
GPU_EMULATOR_TO_INTEGER(double, unsigned long long, double2ull)
#undef GPU_EMULATOR_TO_INTEGER
inline float __int2float_rn(int x) { return static_cast<float>(x); }
inline float __uint2float_rn(unsigned x) { return static_cast<float>(x); }
inline float __ll2float_rn(long long x) { return static_cast<float>(x); }
inline double __int2double_rn(int x) { return x; }
inline double __uint2double_rn(unsigned x) { return x; }
inline double __ll2double_rn(long long x) { return static_cast<double>(x); }
inline float __double2float_rn(double x) { return static_cast<float>(x); }

// ---- Floats ----

// Results that a compiler does not contract into one multiply-add.
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __frcp_rn(float x) { return 1 / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __frsqrt_rn(float x) { return static_cast<float>(1 / sqrt(static_cast<double>(x))); }
inline float __fdividef(float a, float b) { return a / b; }
inline float fdividef(float a, float b) { return a / b; }
inline float __saturatef(float x) { return x > 0 ? fminf(x, 1) : 0; }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __drcp_rn(double x) { return 1 / x; }
inline double __dsqrt_rn(double x) { return sqrt(x); }

inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline double rsqrt(double x) { return 1 / sqrt(x); }
inline float rsqrt(float x) { return rsqrtf(x); }
inline float rcbrtf(float x) { return 1 / cbrtf(x); }
inline double rcbrt(double x) { return 1 / cbrt(x); }
inline float sinpif(float x) { return sinf(static_cast<float>(M_PI) * x); }
inline float cospif(float x) { return cosf(static_cast<float>(M_PI) * x); }
inline double sinpi(double x) { return sin(M_PI * x); }
inline double cospi(double x) { return cos(M_PI * x); }

// The C library declares functions of these names for itself, so that ours have to be macros.
#define __expf(x) expf(x)
#define __exp10f(x) powf(10.0f, x)
#define __logf(x) logf(x)
#define __log2f(x) log2f(x)
#define __log10f(x) log10f(x)
#define __powf(x, y) powf(x, y)
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)
#define __tanf(x) tanf(x)

// ---- Memory ----

template <typename T>
T __ldg(const T* from) {
  return *from;
}
template <typename T>
T __ldcs(const T* from) {
  return *from;
}
template <typename T>
T __ldcg(const T* from) {
  return *from;
}
template <typename T>
T __ldca(const T* from) {
  return *from;
}
template <typename T>
void __stcs(T* to, T value) {
  *to = value;
}
template <typename T>
void __stcg(T* to, T value) {
  *to = value;
}

// ---- Atomics: between threads of the host too, since each may be a GPU's ----

namespace gpu_emulator {

/// *address = change(*address) in one step. @return what was there before.
template <typename T, typename Change>
T AtomicChange(T* address, const Change& change) {
  T seen;
  __atomic_load(address, &seen, __ATOMIC_SEQ_CST);
  for (;;) {
    T changed = change(seen);
    if (__atomic_compare_exchange(address, &seen, &changed, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
      return seen;
    }
  }
}

}  // namespace gpu_emulator

#define GPU_EMULATOR_ATOMIC(type, name, expression)                                           \
  inline type name(type* address, type value) {                                               \
    return gpu_emulator::AtomicChange(address, [=](type old) -> type { return expression; }); \
  }
#define GPU_EMULATOR_INTEGER_ATOMICS(type)                                                            \
  GPU_EMULATOR_ATOMIC(type, atomicMax, old < value ? value : old)                                     \
  GPU_EMULATOR_ATOMIC(type, atomicMin, value < old ? value : old)                                     \
  GPU_EMULATOR_ATOMIC(type, atomicExch, (static_cast<void>(old), value))                              \
  GPU_EMULATOR_ATOMIC(type, atomicOr, old | value)                                                    \
  GPU_EMULATOR_ATOMIC(type, atomicAnd, old& value)                                                    \
  GPU_EMULATOR_ATOMIC(type, atomicXor, old ^ value)                                                   \
  inline type atomicCAS(type* address, type expected, type value) {                                   \
    __atomic_compare_exchange(address, &expected, &value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
    return expected;                                                                                  \
  }
GPU_EMULATOR_INTEGER_ATOMICS(int)
GPU_EMULATOR_INTEGER_ATOMICS(unsigned)
GPU_EMULATOR_INTEGER_ATOMICS(unsigned long long)
GPU_EMULATOR_ATOMIC(int, atomicAdd, static_cast<int>(static_cast<unsigned>(old) + value))
GPU_EMULATOR_ATOMIC(unsigned, atomicAdd, old + value)
GPU_EMULATOR_ATOMIC(unsigned long long, atomicAdd, old + value)
GPU_EMULATOR_ATOMIC(float, atomicAdd, old + value)
GPU_EMULATOR_ATOMIC(double, atomicAdd, old + value)
GPU_EMULATOR_ATOMIC(int, atomicSub, static_cast<int>(static_cast<unsigned>(old) - value))
GPU_EMULATOR_ATOMIC(unsigned, atomicSub, old - value)
GPU_EMULATOR_ATOMIC(float, atomicExch, (static_cast<void>(old), value))
GPU_EMULATOR_ATOMIC(unsigned, atomicInc, old >= value ? 0 : old + 1)
GPU_EMULATOR_ATOMIC(unsigned, atomicDec, old == 0 || old > value ? value : old - 1)
#undef GPU_EMULATOR_INTEGER_ATOMICS
#undef GPU_EMULATOR_ATOMIC

// ---- Time ----

long long clock64();

#endif  // CAFFE_GPU_EMULATOR_DEVICE_FUNCTIONS_H_
