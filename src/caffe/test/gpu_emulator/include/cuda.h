#ifndef CAFFE_GPU_EMULATOR_CUDA_H_
#define CAFFE_GPU_EMULATOR_CUDA_H_

/// @file
/// Of CUDA's driver interface, what other headers name.

#define CUDA_VERSION 13000

typedef enum cudaError_enum { CUDA_SUCCESS = 0 } CUresult;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st* CUcontext;
typedef struct CUstream_st* CUstream;
typedef struct CUevent_st* CUevent;

#endif  // CAFFE_GPU_EMULATOR_CUDA_H_
