#ifndef CAFFE_CUDNN_SIGMOID_LAYER_HPP_
#define CAFFE_CUDNN_SIGMOID_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layers/sigmoid_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/cudnn_state.hpp"

namespace caffe {

#ifdef USE_CUDNN

/// cuDNN's sigmoid for the GPU; the CPU's side is SigmoidLayer's.
template <typename Dtype>
class CuDNNSigmoidLayer : public SigmoidLayer<Dtype>, protected cudnn::ActivationState {
 public:
  explicit CuDNNSigmoidLayer(const LayerParameter& param) : SigmoidLayer<Dtype>(param) {}
  CuDNNSigmoidLayer(const CuDNNSigmoidLayer&) = delete;
  CuDNNSigmoidLayer& operator=(const CuDNNSigmoidLayer&) = delete;
  ~CuDNNSigmoidLayer() override;
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

 protected:
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
};

#endif  // USE_CUDNN

}  // namespace caffe

#endif  // CAFFE_CUDNN_SIGMOID_LAYER_HPP_
