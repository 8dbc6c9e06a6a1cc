#ifndef CAFFE_UTIL_CUDNN_ACTIVATION_HPP_
#define CAFFE_UTIL_CUDNN_ACTIVATION_HPP_

/// @file
/// Element-wise functions by cuDNN, where Caffe is built with it (USE_CUDNN).

#include "caffe/util/cudnn.hpp"

#ifdef USE_CUDNN

namespace caffe {
namespace cudnn {

/// A function of cuDNN's as a layer computes it; blobs may not be empty.
class Activation {
 public:
  explicit Activation(cudnnActivationMode_t mode) : mode_(mode) {}

  /// The top may be the bottom.
  template <typename Dtype>
  void Forward(const Blob<Dtype>& bottom, Blob<Dtype>* top) {
    const cudnnTensorDescriptor_t shape = tensor_desc_.Set(bottom);
    const Dtype* x = bottom.gpu_data();
    CUDNN_CHECK(cudnnActivationForward(CudnnHandle(), function(), dataType<Dtype>::one, shape, x,
                                       dataType<Dtype>::zero, shape, top->mutable_gpu_data()));
  }

  template <typename Dtype>
  void Backward(const Blob<Dtype>& top, Blob<Dtype>* bottom) {
    const cudnnTensorDescriptor_t shape = tensor_desc_.Set(top);
    const Dtype *x = bottom->gpu_data(), *y = top.gpu_data(), *dy = top.gpu_diff();
    CUDNN_CHECK(cudnnActivationBackward(CudnnHandle(), function(), dataType<Dtype>::one, shape, y, shape, dy,
                                        shape, x, dataType<Dtype>::zero, shape, bottom->mutable_gpu_diff()));
  }

 private:
  cudnnActivationDescriptor_t function() {
    CUDNN_CHECK(cudnnSetActivationDescriptor(activ_desc_.get(), mode_, CUDNN_PROPAGATE_NAN, 0));
    return activ_desc_.get();
  }

  const cudnnActivationMode_t mode_;
  TensorDescriptor tensor_desc_;
  ActivationDescriptor activ_desc_;
};

}  // namespace cudnn
}  // namespace caffe

#endif  // USE_CUDNN

#endif  // CAFFE_UTIL_CUDNN_ACTIVATION_HPP_
