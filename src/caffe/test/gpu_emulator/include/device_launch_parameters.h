#ifndef CAFFE_GPU_EMULATOR_DEVICE_LAUNCH_PARAMETERS_H_
#define CAFFE_GPU_EMULATOR_DEVICE_LAUNCH_PARAMETERS_H_

#include "vector_types.h"

// Where the GPU's thread is that the host's thread plays at present. Kernels read them at every turn, so that
// the way to them should be short: no call of the dynamic linker.
extern __thread uint3 threadIdx __attribute__((tls_model("initial-exec")));
extern __thread uint3 blockIdx __attribute__((tls_model("initial-exec")));
extern __thread uint3 blockDim __attribute__((tls_model("initial-exec")));
extern __thread uint3 gridDim __attribute__((tls_model("initial-exec")));
constexpr int warpSize = 32;

#endif  // CAFFE_GPU_EMULATOR_DEVICE_LAUNCH_PARAMETERS_H_
