#ifndef CAFFE_UTIL_CUDNN_H_
#define CAFFE_UTIL_CUDNN_H_

/// @file
/// Names for cuDNN's handle and descriptors, where Caffe is built with it (USE_CUDNN).

#ifdef USE_CUDNN

#include <cudnn.h>

#include "caffe/blob.hpp"
#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"

/// Whether the cuDNN compiled with is at least major.minor.patch.
#define CUDNN_VERSION_MIN(major, minor, patch)                      \
  (CUDNN_MAJOR * 1000000 + CUDNN_MINOR * 1000 + CUDNN_PATCHLEVEL >= \
   (major) * 1000000 + (minor) * 1000 + (patch))

/// Checks what a call of cuDNN returns. @throws caffe::Error with the status's name and cuDNN's words.
#define CUDNN_CHECK(condition)                                                                      \
  do {                                                                                              \
    const cudnnStatus_t cudnn_status = condition;                                                   \
    if (cudnn_status != CUDNN_STATUS_SUCCESS) ::caffe::cudnn::ThrowError(cudnn_status, #condition); \
  } while (0)

// cuDNN has this function from version 3 on; its declaration may be repeated.
extern "C" const char* CUDNNWINAPI cudnnGetErrorString(cudnnStatus_t status);

namespace caffe {

/// The calling thread's handle, on its device and its stream (cudaStreamPerThread). Made when it is first
/// asked for. @throws Error where there is no GPU.
cudnnHandle_t CudnnHandle();

namespace cudnn {

[[noreturn]] void ThrowError(cudnnStatus_t status, const char* call);

/// How cuDNN names a scalar type, and where its 1 and 0 lie.
template <typename Dtype>
class dataType;

template <>
class dataType<float> {
 public:
  static const cudnnDataType_t type = CUDNN_DATA_FLOAT;
  static float oneval, zeroval;
  static const void *one, *zero;
};

template <>
class dataType<double> {
 public:
  static const cudnnDataType_t type = CUDNN_DATA_DOUBLE;
  static double oneval, zeroval;
  static const void *one, *zero;
};

template <typename Dtype>
inline void createTensor4dDesc(cudnnTensorDescriptor_t* desc) {
  CUDNN_CHECK(cudnnCreateTensorDescriptor(desc));
}

/// n x c x h x w, with these strides in elements.
template <typename Dtype>
inline void setTensor4dDesc(cudnnTensorDescriptor_t* desc, int n, int c, int h, int w, int stride_n,
                            int stride_c, int stride_h, int stride_w) {
  CUDNN_CHECK(cudnnSetTensor4dDescriptorEx(*desc, dataType<Dtype>::type, n, c, h, w, stride_n, stride_c,
                                           stride_h, stride_w));
}

/// n x c x h x w, dense.
template <typename Dtype>
inline void setTensor4dDesc(cudnnTensorDescriptor_t* desc, int n, int c, int h, int w) {
  setTensor4dDesc<Dtype>(desc, n, c, h, w, c * h * w, h * w, w, 1);
}

/// n outputs of c x h x w weights.
template <typename Dtype>
inline void createFilterDesc(cudnnFilterDescriptor_t* desc, int n, int c, int h, int w) {
  CUDNN_CHECK(cudnnCreateFilterDescriptor(desc));
  CUDNN_CHECK(cudnnSetFilter4dDescriptor(*desc, dataType<Dtype>::type, CUDNN_TENSOR_NCHW, n, c, h, w));
}

template <typename Dtype>
inline void createConvolutionDesc(cudnnConvolutionDescriptor_t* conv) {
  CUDNN_CHECK(cudnnCreateConvolutionDescriptor(conv));
}

/// A cross-correlation without dilation; bottom and filter stand for what it is used with.
template <typename Dtype>
inline void setConvolutionDesc(cudnnConvolutionDescriptor_t* conv, cudnnTensorDescriptor_t /* bottom */,
                               cudnnFilterDescriptor_t /* filter */, int pad_h, int pad_w, int stride_h,
                               int stride_w) {
  CUDNN_CHECK(cudnnSetConvolution2dDescriptor(*conv, pad_h, pad_w, stride_h, stride_w, 1, 1,
                                              CUDNN_CROSS_CORRELATION, dataType<Dtype>::type));
}

/// Sets *mode too. @throws caffe::Error for a method that cuDNN does not have.
template <typename Dtype>
inline void createPoolingDesc(cudnnPoolingDescriptor_t* pool_desc, PoolingParameter_PoolMethod poolmethod,
                              cudnnPoolingMode_t* mode, int h, int w, int pad_h, int pad_w, int stride_h,
                              int stride_w) {
  CHECK(poolmethod == PoolingParameter_PoolMethod_MAX || poolmethod == PoolingParameter_PoolMethod_AVE)
      << "cuDNN pools by MAX and AVE, not by " << PoolingParameter_PoolMethod_Name(poolmethod);
  *mode = poolmethod == PoolingParameter_PoolMethod_MAX ? CUDNN_POOLING_MAX_DETERMINISTIC
                                                        : CUDNN_POOLING_AVERAGE_COUNT_INCLUDE_PADDING;
  CUDNN_CHECK(cudnnCreatePoolingDescriptor(pool_desc));
  CUDNN_CHECK(cudnnSetPooling2dDescriptor(*pool_desc, *mode, CUDNN_PROPAGATE_NAN, h, w, pad_h, pad_w,
                                          stride_h, stride_w));
}

template <typename Dtype>
inline void createActivationDescriptor(cudnnActivationDescriptor_t* activ_desc, cudnnActivationMode_t mode) {
  CUDNN_CHECK(cudnnCreateActivationDescriptor(activ_desc));
  CUDNN_CHECK(cudnnSetActivationDescriptor(*activ_desc, mode, CUDNN_PROPAGATE_NAN, 0));
}

/// A descriptor that is made when it is first asked for, so that layers can be made where there is no GPU.
template <typename Raw, cudnnStatus_t (*kCreate)(Raw*), cudnnStatus_t (*kDestroy)(Raw)>
class Descriptor {
 public:
  Descriptor() = default;
  ~Descriptor() {
    if (raw_) kDestroy(raw_);
  }
  Raw get() {
    if (!raw_) CUDNN_CHECK(kCreate(&raw_));
    return raw_;
  }

 private:
  Raw raw_ = nullptr;

  DISABLE_COPY_AND_ASSIGN(Descriptor);
};

using FilterDescriptor =
    Descriptor<cudnnFilterDescriptor_t, cudnnCreateFilterDescriptor, cudnnDestroyFilterDescriptor>;
using ConvolutionDescriptor = Descriptor<cudnnConvolutionDescriptor_t, cudnnCreateConvolutionDescriptor,
                                         cudnnDestroyConvolutionDescriptor>;
using PoolingDescriptor =
    Descriptor<cudnnPoolingDescriptor_t, cudnnCreatePoolingDescriptor, cudnnDestroyPoolingDescriptor>;
using ActivationDescriptor = Descriptor<cudnnActivationDescriptor_t, cudnnCreateActivationDescriptor,
                                        cudnnDestroyActivationDescriptor>;
using LRNDescriptor = Descriptor<cudnnLRNDescriptor_t, cudnnCreateLRNDescriptor, cudnnDestroyLRNDescriptor>;

/// Of a dense tensor.
class TensorDescriptor
    : public Descriptor<cudnnTensorDescriptor_t, cudnnCreateTensorDescriptor, cudnnDestroyTensorDescriptor> {
 public:
  template <typename Dtype>
  cudnnTensorDescriptor_t Set(int n, int c, int h, int w) {
    cudnnTensorDescriptor_t raw = get();
    setTensor4dDesc<Dtype>(&raw, n, c, h, w);
    return raw;
  }
  /// The blob's shape; axes after the third are one.
  template <typename Dtype>
  cudnnTensorDescriptor_t Set(const Blob<Dtype>& blob) {
    const auto size = [&](int axis) { return axis < blob.num_axes() ? blob.shape(axis) : 1; };
    return Set<Dtype>(size(0), size(1), size(2), blob.num_axes() > 3 ? blob.count(3) : 1);
  }
};

}  // namespace cudnn
}  // namespace caffe

#endif  // USE_CUDNN

#endif  // CAFFE_UTIL_CUDNN_H_
