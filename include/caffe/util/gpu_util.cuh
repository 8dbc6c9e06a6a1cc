#ifndef CAFFE_UTIL_GPU_UTIL_H_
#define CAFFE_UTIL_GPU_UTIL_H_

/// @file
/// What kernels share. For CUDA's compiler only.

#ifdef __CUDACC__

namespace caffe {

/// Adds val to *address, in one step for all threads. @return what was there before.
template <typename Dtype>
inline __device__ Dtype caffe_gpu_atomic_add(const Dtype val, Dtype* address);

template <>
inline __device__ float caffe_gpu_atomic_add(const float val, float* address) {
  return atomicAdd(address, val);
}

template <>
inline __device__ double caffe_gpu_atomic_add(const double val, double* address) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 600
  // Devices before Pascal compare and swap until nobody was faster.
  unsigned long long* const bits = reinterpret_cast<unsigned long long*>(address);
  unsigned long long seen = *bits;
  unsigned long long expected;
  do {
    expected = seen;
    seen = atomicCAS(bits, expected, __double_as_longlong(val + __longlong_as_double(expected)));
  } while (expected != seen);
  return __longlong_as_double(seen);
#else
  return atomicAdd(address, val);
#endif
}

}  // namespace caffe

#endif  // __CUDACC__

#endif  // CAFFE_UTIL_GPU_UTIL_H_
