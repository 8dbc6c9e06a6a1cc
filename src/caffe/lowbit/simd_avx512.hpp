#ifndef CAFFE_LOWBIT_SIMD_AVX512_HPP_
#define CAFFE_LOWBIT_SIMD_AVX512_HPP_

// The instructions of the kernels for AVX-512 and AMX: the processor's, or a test's imitation of them.
#ifdef CAFFE_EMULATE_SIMD
#include "caffe/test/emulated_avx512.hpp"
#else
// GCC 12 takes the undefined registers in its own header for a mistake.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif

#endif  // CAFFE_LOWBIT_SIMD_AVX512_HPP_
