#ifndef CAFFE_CUDNN_DECONV_LAYER_HPP_
#define CAFFE_CUDNN_DECONV_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layers/deconv_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/cudnn_state.hpp"

namespace caffe {

#ifdef USE_CUDNN

/// cuDNN's deconvolution for the GPU; the CPU's side is DeconvolutionLayer's.
///
/// Of two spatial axes; shapes and parameters are those of DeconvolutionLayer.
template <typename Dtype>
class CuDNNDeconvolutionLayer : public DeconvolutionLayer<Dtype>, protected cudnn::ConvolutionState {
 public:
  explicit CuDNNDeconvolutionLayer(const LayerParameter& param) : DeconvolutionLayer<Dtype>(param) {}
  CuDNNDeconvolutionLayer(const CuDNNDeconvolutionLayer&) = delete;
  CuDNNDeconvolutionLayer& operator=(const CuDNNDeconvolutionLayer&) = delete;
  ~CuDNNDeconvolutionLayer() override;
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

 protected:
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
};

#endif  // USE_CUDNN

}  // namespace caffe

#endif  // CAFFE_CUDNN_DECONV_LAYER_HPP_
