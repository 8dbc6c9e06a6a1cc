#ifndef CAFFE_UTIL_BINARIZE_CUH_
#define CAFFE_UTIL_BINARIZE_CUH_

/// @file
/// Binary weights in code for the GPU; see caffe/util/binarize.hpp. For CUDA's compiler only, or for the
/// compiler of the host where CAFFE_GPU_EMULATOR stands in for a GPU.

#include "caffe/util/binarize.hpp"
#include "caffe/util/gpu_launch.cuh"
#include "caffe/util/math_functions.hpp"

namespace caffe {

namespace binary {

template <typename Dtype>
struct Magnitude {
  const Dtype* weights;
  int n;
  __device__ double operator()(int output, int i) const {
    return fabs(static_cast<double>(weights[static_cast<int64_t>(output) * n + i]));
  }
};

template <typename Dtype>
struct StoreAlpha {
  int n;
  Dtype* alphas;
  __device__ void operator()(int output, double sum) const { alphas[output] = binary_alpha<Dtype>(sum, n); }
};

}  // namespace binary

/// Alphas of outputs of n weights each.
template <typename Dtype>
void FindAlphas(int outputs, int n, const Dtype* weights, bool use_alpha, Dtype* alphas) {
  if (use_alpha) {
    GpuSumRows<double>(outputs, n, binary::Magnitude<Dtype>{weights, n},
                       binary::StoreAlpha<Dtype>{n, alphas});
  } else {
    caffe_gpu_set(outputs, Dtype(1), alphas);
  }
}

}  // namespace caffe

#endif  // CAFFE_UTIL_BINARIZE_CUH_
