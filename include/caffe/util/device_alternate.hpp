#ifndef CAFFE_UTIL_DEVICE_ALTERNATE_H_
#define CAFFE_UTIL_DEVICE_ALTERNATE_H_

#include "caffe/util/logging.hpp"

/// Marks a function that CPU code and CUDA kernels both call.
#ifdef __CUDACC__
#define CAFFE_HOST_DEVICE __host__ __device__
#else
#define CAFFE_HOST_DEVICE
#endif

/**
 * Compiles a hot function for processors with AVX2 and for those without; the loader picks by what there is.
 * Functions inlined into it (functors above all) are vectorized with it. There is no variant for AVX-512:
 * such loops wait for memory, and GCC 12 miscompiles conditional sums of doubles for it.
 */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__CUDACC__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CAFFE_TARGET_CLONES __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define CAFFE_TARGET_CLONES
#endif

#ifdef CPU_ONLY

/// Stands where a GPU is needed in a build without one.
#define NO_GPU                                                                                         \
  LOG(FATAL) << "this needs a GPU, but Caffe was built without CUDA: use CPU mode (solver_mode: CPU, " \
                "-cpu, caffe.set_mode_cpu()) or build with CUDA"

/// The GPU half of a layer in a build without CUDA: each method raises the error of NO_GPU.
#define STUB_GPU(classname)                                                                      \
  template <typename Dtype>                                                                      \
  void classname<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) { \
    NO_GPU;                                                                                      \
  }                                                                                              \
  template <typename Dtype>                                                                      \
  void classname<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>&, const vector<bool>&,          \
                                      const vector<Blob<Dtype>*>&) {                             \
    NO_GPU;                                                                                      \
  }

#define STUB_GPU_FORWARD(classname, funcname)                                                       \
  template <typename Dtype>                                                                         \
  void classname<Dtype>::funcname##_gpu(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) { \
    NO_GPU;                                                                                         \
  }

#define STUB_GPU_BACKWARD(classname, funcname)                                            \
  template <typename Dtype>                                                               \
  void classname<Dtype>::funcname##_gpu(const vector<Blob<Dtype>*>&, const vector<bool>&, \
                                        const vector<Blob<Dtype>*>&) {                    \
    NO_GPU;                                                                               \
  }

#endif  // CPU_ONLY

#endif  // CAFFE_UTIL_DEVICE_ALTERNATE_H_
