#ifndef CAFFE_GPU_EMULATOR_HOST_DEFINES_H_
#define CAFFE_GPU_EMULATOR_HOST_DEFINES_H_

/// @file
/// CUDA's qualifiers, for a compiler of the host.

#define __host__
#define __device__
#define __global__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) alignas(n)
/// A kernel's memory of its block: the blocks of a launch run one after another on one thread of the host.
#define __shared__ static thread_local
#define __constant__

#define CUDARTAPI
#define CUDART_CB
#define CUDAAPI

#endif  // CAFFE_GPU_EMULATOR_HOST_DEFINES_H_
