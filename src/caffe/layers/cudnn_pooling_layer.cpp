#include "caffe/layers/cudnn_pooling_layer.hpp"

#ifdef USE_CUDNN

namespace caffe {

using cudnn::dataType;

template <typename Dtype>
bool CuDNNPoolingLayer<Dtype>::IsForCudnn(const Blob<Dtype>& bottom, size_t num_tops) const {
  if (bottom.count() == 0 || num_tops > 1 ||
      this->layer_param_.pooling_param().pool() == PoolingParameter_PoolMethod_STOCHASTIC) {
    return false;
  }
  const auto fits = [](int size, int pooled, int kernel, int pad, int stride) {
    return (pooled - 1) * stride + kernel <= size + 2 * pad;
  };
  return fits(this->height_, this->pooled_height_, this->kernel_h_, this->pad_h_, this->stride_h_) &&
         fits(this->width_, this->pooled_width_, this->kernel_w_, this->pad_w_, this->stride_w_);
}

template <typename Dtype>
cudnnPoolingDescriptor_t CuDNNPoolingLayer<Dtype>::Windows() {
  // Of the two ways to hand gradients to the largest elements, the one that adds in the same order every
  // time.
  const cudnnPoolingMode_t mode = this->layer_param_.pooling_param().pool() == PoolingParameter_PoolMethod_MAX
                                      ? CUDNN_POOLING_MAX_DETERMINISTIC
                                      : CUDNN_POOLING_AVERAGE_COUNT_INCLUDE_PADDING;
  CUDNN_CHECK(cudnnSetPooling2dDescriptor(pooling_desc_.get(), mode, CUDNN_PROPAGATE_NAN, this->kernel_h_,
                                          this->kernel_w_, this->pad_h_, this->pad_w_, this->stride_h_,
                                          this->stride_w_));
  return pooling_desc_.get();
}

template <typename Dtype>
void CuDNNPoolingLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom,
                                           const vector<Blob<Dtype>*>& top) {
  if (!IsForCudnn(*bottom[0], top.size())) return PoolingLayer<Dtype>::Forward_gpu(bottom, top);
  CUDNN_CHECK(cudnnPoolingForward(CudnnHandle(), Windows(), dataType<Dtype>::one,
                                  bottom_desc_.Set(*bottom[0]), bottom[0]->gpu_data(), dataType<Dtype>::zero,
                                  top_desc_.Set(*top[0]), top[0]->mutable_gpu_data()));
}

template <typename Dtype>
void CuDNNPoolingLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top,
                                            const vector<bool>& propagate_down,
                                            const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  if (!IsForCudnn(*bottom[0], top.size())) {
    return PoolingLayer<Dtype>::Backward_gpu(top, propagate_down, bottom);
  }
  const cudnnTensorDescriptor_t of_bottom = bottom_desc_.Set(*bottom[0]), of_top = top_desc_.Set(*top[0]);
  const Dtype* dy = top[0]->gpu_diff();
  Dtype* dx = bottom[0]->mutable_gpu_diff();
  // Means do not depend on the values, which need not be there any more.
  const Dtype *y = ReadsValues() ? top[0]->gpu_data() : dy, *x = ReadsValues() ? bottom[0]->gpu_data() : dx;
  CUDNN_CHECK(cudnnPoolingBackward(CudnnHandle(), Windows(), dataType<Dtype>::one, of_top, y, of_top, dy,
                                   of_bottom, x, dataType<Dtype>::zero, of_bottom, dx));
}

INSTANTIATE_CLASS(CuDNNPoolingLayer);

}  // namespace caffe

#endif  // USE_CUDNN
