#include "caffe/layers/eltwise_layer.hpp"
#include "caffe/util/eltwise.hpp"
#include "caffe/util/gpu_launch.cuh"
#include "caffe/util/gpu_map.cuh"

namespace caffe {

namespace {

template <typename FirstFunction, typename FirstT, typename Function, typename T>
struct SetElements {
  FirstFunction f;
  FirstT* y;
  Function g;
  T* z;
  __device__ void operator()(int i) const {
    y[i] = f(i);
    z[i] = g(i);
  }
};

struct Gpu : GpuSide {
  template <typename Function, typename T>
  static void Map(int64_t n, Function f, T* y) {
    GpuMap(n, f, y);
  }
  template <typename FirstFunction, typename FirstT, typename Function, typename T>
  static void Map(int64_t n, FirstFunction f, FirstT* y, Function g, T* z) {
    GpuForEach(n, SetElements<FirstFunction, FirstT, Function, T>{f, y, g, z});
  }
};

}  // namespace

template <typename Dtype>
void EltwiseLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  EltwiseForward<Gpu>(op_, coeffs_, bottom, &max_idx_, top[0]);
}

template <typename Dtype>
void EltwiseLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                       const vector<Blob<Dtype>*>& bottom) {
  for (size_t i = 0; i < bottom.size(); ++i) {
    if (!propagate_down[i]) continue;
    EltwiseBackward<Gpu>(op_, stable_prod_grad_, coeffs_[i], max_idx_, *top[0], i, bottom);
  }
}

INSTANTIATE_LAYER_GPU_FUNCS(EltwiseLayer);

}  // namespace caffe
