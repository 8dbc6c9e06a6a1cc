#ifndef CAFFE_UTIL_TARGET_CLONES_HPP_
#define CAFFE_UTIL_TARGET_CLONES_HPP_

/**
 * Compiles a hot function for processors with AVX2 and for those without; the loader picks by what there is.
 * Functions inlined into it (functors above all) are vectorized with it. There is no variant for AVX-512:
 * such loops wait for memory, and GCC 12 miscompiles conditional sums of doubles for it.
 *
 * CAFFE_WIDE_TARGET_CLONES has that variant, too, for floats that are computed with in many registers.
 */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__CUDACC__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#if __GNUC__ >= 12
#define CAFFE_TARGET_CLONES __attribute__((target_clones("arch=x86-64-v3", "default")))
#define CAFFE_WIDE_TARGET_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
// Older ones cannot choose by the level of the architecture.
#define CAFFE_TARGET_CLONES __attribute__((target_clones("avx2", "default")))
#define CAFFE_WIDE_TARGET_CLONES CAFFE_TARGET_CLONES
#endif
#else
#define CAFFE_TARGET_CLONES
#define CAFFE_WIDE_TARGET_CLONES
#endif

#endif  // CAFFE_UTIL_TARGET_CLONES_HPP_
