#include "caffe/util/binarize.cuh"

namespace caffe {

namespace {

template <typename Dtype>
struct Binarize {
  int n;
  const Dtype* weights;
  const Dtype* alphas;
  Dtype* binary;
  __device__ void operator()(int i) const { binary[i] = binarize(weights[i], alphas[i / n]); }
};

}  // namespace

template <typename Dtype>
void BinarizeWeightsGpu(const Blob<Dtype>& weights, bool use_alpha, Blob<Dtype>* alphas,
                        Blob<Dtype>* binary) {
  ReshapeForBinary(weights, alphas, binary);
  const int n = weights.count(1);
  FindAlphas(weights.shape(0), n, weights.gpu_data(), use_alpha, alphas->mutable_gpu_data());
  GpuForEach(weights.count(),
             Binarize<Dtype>{n, weights.gpu_data(), alphas->gpu_data(), binary->mutable_gpu_data()});
}

template void BinarizeWeightsGpu<float>(const Blob<float>&, bool, Blob<float>*, Blob<float>*);
template void BinarizeWeightsGpu<double>(const Blob<double>&, bool, Blob<double>*, Blob<double>*);

}  // namespace caffe
