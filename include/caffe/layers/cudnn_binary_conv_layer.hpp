#ifndef CAFFE_CUDNN_BINARY_CONV_LAYER_HPP_
#define CAFFE_CUDNN_BINARY_CONV_LAYER_HPP_

#include "caffe/layers/binary_conv_layer.hpp"
#include "caffe/util/cudnn_convolution.hpp"

namespace caffe {

#ifdef USE_CUDNN

/// cuDNN's convolution for the GPU, where BinaryConvolutionLayer would convolve floats; the CPU's side is
/// BinaryConvolutionLayer's, and so are the weights.
template <typename Dtype>
class CuDNNBinaryConvolutionLayer : public CuDNNConvolutionOf<BinaryConvolutionLayer<Dtype>, Dtype> {
 public:
  explicit CuDNNBinaryConvolutionLayer(const LayerParameter& param)
      : CuDNNConvolutionOf<BinaryConvolutionLayer<Dtype>, Dtype>(param) {}
};

#endif  // USE_CUDNN

}  // namespace caffe

#endif  // CAFFE_CUDNN_BINARY_CONV_LAYER_HPP_
