#ifndef CAFFE_LOWBIT_HOST_DEVICE_HPP_
#define CAFFE_LOWBIT_HOST_DEVICE_HPP_

/// Marks a formula that processors and GPUs both compute.
#ifdef __CUDACC__
#define HWGQ_HOST_DEVICE __host__ __device__
#else
#define HWGQ_HOST_DEVICE
#endif

#endif  // CAFFE_LOWBIT_HOST_DEVICE_HPP_
