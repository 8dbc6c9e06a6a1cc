#ifndef CAFFE_CUDNN_SIGMOID_LAYER_HPP_
#define CAFFE_CUDNN_SIGMOID_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layers/sigmoid_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/cudnn_activation.hpp"

namespace caffe {

#ifdef USE_CUDNN

/// cuDNN's sigmoid for the GPU; the CPU's side is SigmoidLayer's.
template <typename Dtype>
class CuDNNSigmoidLayer : public SigmoidLayer<Dtype> {
 public:
  explicit CuDNNSigmoidLayer(const LayerParameter& param) : SigmoidLayer<Dtype>(param) {}

 protected:
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

 private:
  cudnn::Activation activation_{CUDNN_ACTIVATION_SIGMOID};
};

#endif  // USE_CUDNN

}  // namespace caffe

#endif  // CAFFE_CUDNN_SIGMOID_LAYER_HPP_
