#ifndef CAFFE_CUDNN_CONV_LAYER_HPP_
#define CAFFE_CUDNN_CONV_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layers/conv_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/cudnn_state.hpp"

namespace caffe {

#ifdef USE_CUDNN

/// cuDNN's convolution for the GPU; the CPU's side is ConvolutionLayer's.
///
/// Of two spatial axes; shapes and parameters are those of ConvolutionLayer.
template <typename Dtype>
class CuDNNConvolutionLayer : public ConvolutionLayer<Dtype>, protected cudnn::ConvolutionState {
 public:
  explicit CuDNNConvolutionLayer(const LayerParameter& param) : ConvolutionLayer<Dtype>(param) {}
  CuDNNConvolutionLayer(const CuDNNConvolutionLayer&) = delete;
  CuDNNConvolutionLayer& operator=(const CuDNNConvolutionLayer&) = delete;
  ~CuDNNConvolutionLayer() override;
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

 protected:
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
};

#endif  // USE_CUDNN

}  // namespace caffe

#endif  // CAFFE_CUDNN_CONV_LAYER_HPP_
