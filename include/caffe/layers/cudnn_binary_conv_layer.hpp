#ifndef CAFFE_CUDNN_BINARY_CONV_LAYER_HPP_
#define CAFFE_CUDNN_BINARY_CONV_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layers/binary_conv_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/cudnn_state.hpp"

namespace caffe {

#ifdef USE_CUDNN

/// cuDNN's binary convolution for the GPU; the CPU's side is BinaryConvolutionLayer's.
///
/// Weights are binarized as BinaryConvolutionLayer does it.
template <typename Dtype>
class CuDNNBinaryConvolutionLayer : public BinaryConvolutionLayer<Dtype>, protected cudnn::ConvolutionState {
 public:
  explicit CuDNNBinaryConvolutionLayer(const LayerParameter& param) : BinaryConvolutionLayer<Dtype>(param) {}
  CuDNNBinaryConvolutionLayer(const CuDNNBinaryConvolutionLayer&) = delete;
  CuDNNBinaryConvolutionLayer& operator=(const CuDNNBinaryConvolutionLayer&) = delete;
  ~CuDNNBinaryConvolutionLayer() override;
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

 protected:
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
};

#endif  // USE_CUDNN

}  // namespace caffe

#endif  // CAFFE_CUDNN_BINARY_CONV_LAYER_HPP_
