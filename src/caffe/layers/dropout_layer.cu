#include "caffe/layers/dropout_layer.hpp"
#include "caffe/util/gpu_launch.cuh"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/neuron_functions.hpp"

namespace caffe {

namespace {

// Turns 32 random bits of each element into whether it is kept.
template <typename Dtype>
void Draw(int count, unsigned int threshold, DropoutFunction<Dtype> f, const Dtype* x, unsigned int* mask,
          Dtype* y) {
  GpuForEach(count, [=] __device__(int i) {
    const unsigned int kept = mask[i] >= threshold;
    mask[i] = kept;
    y[i] = f(x[i], kept);
  });
}

template <typename Dtype>
void GpuBackward(int count, DropoutFunction<Dtype> f, const unsigned int* kept, const Dtype* dy, Dtype* dx) {
  GpuForEach(count, [=] __device__(int i) { dx[i] = f(dy[i], kept[i]); });
}

}  // namespace

template <typename Dtype>
void DropoutLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const int count = bottom[0]->count();
  const Dtype* x = bottom[0]->gpu_data();
  Dtype* y = top[0]->mutable_gpu_data();
  if (this->phase_ != TRAIN) {
    caffe_gpu_memcpy(count * sizeof(Dtype), x, y);
    return;
  }
  if (count == 0) return;
  unsigned int* mask = rand_vec_.mutable_gpu_data();
  caffe_gpu_rng_uniform(count, mask);
  Draw(count, uint_thres_, DropoutFunction<Dtype>{scale_}, x, mask, y);
}

template <typename Dtype>
void DropoutLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                       const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  const int count = bottom[0]->count();
  const Dtype* dy = top[0]->gpu_diff();
  Dtype* dx = bottom[0]->mutable_gpu_diff();
  if (this->phase_ != TRAIN) {
    caffe_gpu_memcpy(count * sizeof(Dtype), dy, dx);
    return;
  }
  GpuBackward(count, DropoutFunction<Dtype>{scale_}, rand_vec_.gpu_data(), dy, dx);
}

INSTANTIATE_LAYER_GPU_FUNCS(DropoutLayer);

}  // namespace caffe
