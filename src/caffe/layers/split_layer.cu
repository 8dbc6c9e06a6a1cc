#include <algorithm>

#include "caffe/layers/split_layer.hpp"
#include "caffe/util/gpu_map.cuh"

namespace caffe {

namespace {

/// So many gradients are read by one kernel.
constexpr int kMostTerms = 8;

template <typename Dtype>
struct SumOfTerms {
  const Dtype* terms[kMostTerms];
  int count;
  __device__ Dtype operator()(int i) const {
    Dtype sum = terms[0][i];
#pragma unroll
    for (int t = 1; t < kMostTerms; ++t) {
      if (t < count) sum += terms[t][i];
    }
    return sum;
  }
};

}  // namespace

template <typename Dtype>
void SplitLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  for (Blob<Dtype>* blob : top) blob->ShareData(*bottom[0]);
}

template <typename Dtype>
void SplitLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                     const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  Dtype* dx = bottom[0]->mutable_gpu_diff();
  SumOfTerms<Dtype> sum = {};
  for (const Blob<Dtype>* blob : top) {
    if (sum.count == kMostTerms) {
      GpuMap(count_, sum, dx);
      sum = {{dx}, 1};
    }
    sum.terms[sum.count++] = blob->gpu_diff();
  }
  GpuMap(count_, sum, dx);
}

INSTANTIATE_LAYER_GPU_FUNCS(SplitLayer);

}  // namespace caffe
