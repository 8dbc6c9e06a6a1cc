#ifndef CAFFE_CUDNN_POOLING_LAYER_HPP_
#define CAFFE_CUDNN_POOLING_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layers/pooling_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/cudnn.hpp"

namespace caffe {

#ifdef USE_CUDNN

/// cuDNN's pooling for the GPU; the CPU's side is PoolingLayer's.
///
/// MAX and AVE only, and without a mask as second top.
template <typename Dtype>
class CuDNNPoolingLayer : public PoolingLayer<Dtype> {
 public:
  explicit CuDNNPoolingLayer(const LayerParameter& param) : PoolingLayer<Dtype>(param) {}
  CuDNNPoolingLayer(const CuDNNPoolingLayer&) = delete;
  CuDNNPoolingLayer& operator=(const CuDNNPoolingLayer&) = delete;
  ~CuDNNPoolingLayer() override;
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  int MinTopBlobs() const override { return -1; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

  bool handles_setup_ = false;
  cudnnHandle_t handle_ = nullptr;
  cudnnTensorDescriptor_t bottom_desc_ = nullptr, top_desc_ = nullptr;
  cudnnPoolingDescriptor_t pooling_desc_ = nullptr;
  cudnnPoolingMode_t mode_ = CUDNN_POOLING_MAX;
};

#endif  // USE_CUDNN

}  // namespace caffe

#endif  // CAFFE_CUDNN_POOLING_LAYER_HPP_
