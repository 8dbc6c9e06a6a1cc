#ifndef CAFFE_CUDNN_DECONV_LAYER_HPP_
#define CAFFE_CUDNN_DECONV_LAYER_HPP_

#include "caffe/layers/deconv_layer.hpp"
#include "caffe/util/cudnn_convolution.hpp"

namespace caffe {

#ifdef USE_CUDNN

/// cuDNN's deconvolution for the GPU; the CPU's side is DeconvolutionLayer's, and so is the GPU's for more
/// than two spatial axes.
template <typename Dtype>
class CuDNNDeconvolutionLayer : public CuDNNConvolutionOf<DeconvolutionLayer<Dtype>, Dtype> {
 public:
  explicit CuDNNDeconvolutionLayer(const LayerParameter& param)
      : CuDNNConvolutionOf<DeconvolutionLayer<Dtype>, Dtype>(param) {}
};

#endif  // USE_CUDNN

}  // namespace caffe

#endif  // CAFFE_CUDNN_DECONV_LAYER_HPP_
