#ifndef CAFFE_CUDNN_CONV_LAYER_HPP_
#define CAFFE_CUDNN_CONV_LAYER_HPP_

#include "caffe/layers/conv_layer.hpp"
#include "caffe/util/cudnn_convolution.hpp"

namespace caffe {

#ifdef USE_CUDNN

/// cuDNN's convolution for the GPU; the CPU's side is ConvolutionLayer's, and so is the GPU's for more than
/// two spatial axes.
template <typename Dtype>
class CuDNNConvolutionLayer : public CuDNNConvolutionOf<ConvolutionLayer<Dtype>, Dtype> {
 public:
  explicit CuDNNConvolutionLayer(const LayerParameter& param)
      : CuDNNConvolutionOf<ConvolutionLayer<Dtype>, Dtype>(param) {}
};

#endif  // USE_CUDNN

}  // namespace caffe

#endif  // CAFFE_CUDNN_CONV_LAYER_HPP_
