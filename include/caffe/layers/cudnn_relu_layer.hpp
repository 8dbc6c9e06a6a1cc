#ifndef CAFFE_CUDNN_RELU_LAYER_HPP_
#define CAFFE_CUDNN_RELU_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layers/relu_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/cudnn_activation.hpp"

namespace caffe {

#ifdef USE_CUDNN

/// cuDNN's ReLU for the GPU; the CPU's side is ReLULayer's, and so is the GPU's for a negative slope.
template <typename Dtype>
class CuDNNReLULayer : public ReLULayer<Dtype> {
 public:
  explicit CuDNNReLULayer(const LayerParameter& param) : ReLULayer<Dtype>(param) {}

 protected:
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

 private:
  cudnn::Activation activation_{CUDNN_ACTIVATION_RELU};
};

#endif  // USE_CUDNN

}  // namespace caffe

#endif  // CAFFE_CUDNN_RELU_LAYER_HPP_
