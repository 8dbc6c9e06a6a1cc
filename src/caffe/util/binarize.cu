#include "caffe/util/binarize.hpp"

#include <algorithm>

#include "caffe/util/gpu_launch.cuh"
#include "caffe/util/int_divisor.hpp"
#include "caffe/util/math_functions.hpp"

namespace caffe {

namespace {

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

template <typename Dtype>
struct Binarize {
  IntDivisor n;
  const Dtype* weights;
  const Dtype* alphas;
  Dtype* binary;
  __device__ void operator()(int i) const { binary[i] = binarize(weights[i], alphas[n.Quotient(i)]); }
};

}  // namespace

template <typename Dtype>
void BinarizeWeightsGpu(const Blob<Dtype>& weights, bool use_alpha, Blob<Dtype>* alphas,
                        Blob<Dtype>* binary) {
  ReshapeForBinary(weights, alphas, binary);
  const int outputs = weights.shape(0), n = weights.count(1);
  const Dtype* const w = weights.gpu_data();
  if (use_alpha) {
    GpuSumRows<double>(outputs, n, Magnitude<Dtype>{w, n}, StoreAlpha<Dtype>{n, alphas->mutable_gpu_data()});
  } else {
    caffe_gpu_set(outputs, Dtype(1), alphas->mutable_gpu_data());
  }
  GpuForEach(weights.count(),
             Binarize<Dtype>{IntDivisor(std::max(n, 1)), w, alphas->gpu_data(), binary->mutable_gpu_data()});
}

template void BinarizeWeightsGpu<float>(const Blob<float>&, bool, Blob<float>*, Blob<float>*);
template void BinarizeWeightsGpu<double>(const Blob<double>&, bool, Blob<double>*, Blob<double>*);

}  // namespace caffe
