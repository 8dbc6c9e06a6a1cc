#include "caffe/layers/inner_product_layer.hpp"

#include "caffe/util/channel_functions.hpp"
#include "caffe/util/channel_kernels.cuh"
#include "caffe/util/math_functions.hpp"

namespace caffe {

template <typename Dtype>
void InnerProductLayer<Dtype>::Forward_rows_gpu(const Dtype* weights, const vector<Blob<Dtype>*>& bottom,
                                                const vector<Blob<Dtype>*>& top) {
  if (M_ == 0) return;
  Dtype* top_data = top[0]->mutable_gpu_data();
  caffe_gpu_gemm<Dtype>(CblasNoTrans, transpose_ ? CblasNoTrans : CblasTrans, M_, N_, K_, 1,
                        bottom[0]->gpu_data(), weights, 0, top_data);
  if (!bias_term_) return;
  GpuMapChannels({M_, N_, 1}, ShiftedChannels<Dtype>{top_data, this->blobs_[1]->gpu_data()}, top_data);
}

template <typename Dtype>
void InnerProductLayer<Dtype>::Backward_rows_gpu(const Dtype* weights, const vector<Blob<Dtype>*>& top,
                                                 const vector<bool>& propagate_down,
                                                 const vector<Blob<Dtype>*>& bottom) {
  if (M_ == 0) return;
  const Dtype* top_diff = top[0]->gpu_diff();
  if (this->param_propagate_down_[0]) {
    const Dtype* bottom_data = bottom[0]->gpu_data();
    Dtype* weight_diff = this->blobs_[0]->mutable_gpu_diff();
    if (transpose_) {
      caffe_gpu_gemm<Dtype>(CblasTrans, CblasNoTrans, K_, N_, M_, 1, bottom_data, top_diff, 1, weight_diff);
    } else {
      caffe_gpu_gemm<Dtype>(CblasTrans, CblasNoTrans, N_, K_, M_, 1, top_diff, bottom_data, 1, weight_diff);
    }
  }
  if (bias_term_ && this->param_propagate_down_[1]) {
    GpuSumChannels<Dtype>({M_, N_, 1}, ChannelValues<Dtype>{top_diff},
                          StoreSum<Dtype>{this->blobs_[1]->mutable_gpu_diff(), true});
  }
  if (propagate_down[0]) {
    caffe_gpu_gemm<Dtype>(CblasNoTrans, transpose_ ? CblasTrans : CblasNoTrans, M_, K_, N_, 1, top_diff,
                          weights, 0, bottom[0]->mutable_gpu_diff());
  }
}

template <typename Dtype>
void InnerProductLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom,
                                           const vector<Blob<Dtype>*>& top) {
  Forward_rows_gpu(this->blobs_[0]->gpu_data(), bottom, top);
}

template <typename Dtype>
void InnerProductLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top,
                                            const vector<bool>& propagate_down,
                                            const vector<Blob<Dtype>*>& bottom) {
  Backward_rows_gpu(this->blobs_[0]->gpu_data(), top, propagate_down, bottom);
}

#define INSTANTIATE_ROWS(Dtype)                                                                       \
  template void InnerProductLayer<Dtype>::Forward_rows_gpu(const Dtype*, const vector<Blob<Dtype>*>&, \
                                                           const vector<Blob<Dtype>*>&);              \
  template void InnerProductLayer<Dtype>::Backward_rows_gpu(                                          \
      const Dtype*, const vector<Blob<Dtype>*>&, const vector<bool>&, const vector<Blob<Dtype>*>&)
INSTANTIATE_ROWS(float);
INSTANTIATE_ROWS(double);
#undef INSTANTIATE_ROWS
INSTANTIATE_LAYER_GPU_FUNCS(InnerProductLayer);

}  // namespace caffe
