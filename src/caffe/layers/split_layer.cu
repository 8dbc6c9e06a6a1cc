#include <algorithm>

#include "caffe/layers/split_layer.hpp"
#include "caffe/util/gpu_launch.cuh"

namespace caffe {

namespace {

/// So many gradients are read by one kernel.
constexpr int kMostTerms = 8;

template <typename Dtype>
struct AddUpTerms {
  const Dtype* terms[kMostTerms];
  int count;
  Dtype* sum;
  __device__ void operator()(int i) const {
    Dtype value = terms[0][i];
#pragma unroll
    for (int t = 1; t < kMostTerms; ++t) {
      if (t < count) value += terms[t][i];
    }
    sum[i] = value;
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
  AddUpTerms<Dtype> add = {{}, 0, dx};
  for (const Blob<Dtype>* blob : top) {
    if (add.count == kMostTerms) {
      GpuForEach(count_, add);
      add = {{dx}, 1, dx};
    }
    add.terms[add.count++] = blob->gpu_diff();
  }
  GpuForEach(count_, add);
}

INSTANTIATE_LAYER_GPU_FUNCS(SplitLayer);

}  // namespace caffe
