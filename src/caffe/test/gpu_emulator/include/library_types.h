#ifndef CAFFE_GPU_EMULATOR_LIBRARY_TYPES_H_
#define CAFFE_GPU_EMULATOR_LIBRARY_TYPES_H_

typedef enum cudaDataType_t {
  CUDA_R_32F = 0,
  CUDA_R_64F = 1,
  CUDA_R_16F = 2,
  CUDA_R_8I = 3,
  CUDA_R_8U = 8,
  CUDA_R_32I = 10,
  CUDA_R_16BF = 14,
} cudaDataType;

typedef enum libraryPropertyType_t { MAJOR_VERSION, MINOR_VERSION, PATCH_LEVEL } libraryPropertyType;

#endif  // CAFFE_GPU_EMULATOR_LIBRARY_TYPES_H_
