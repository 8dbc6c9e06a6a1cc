#ifndef CAFFE_CUDNN_TANH_LAYER_HPP_
#define CAFFE_CUDNN_TANH_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layers/tanh_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/cudnn_activation.hpp"

namespace caffe {

#ifdef USE_CUDNN

/// cuDNN's tanh for the GPU; the CPU's side is TanHLayer's.
template <typename Dtype>
class CuDNNTanHLayer : public TanHLayer<Dtype> {
 public:
  explicit CuDNNTanHLayer(const LayerParameter& param) : TanHLayer<Dtype>(param) {}

 protected:
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

 private:
  cudnn::Activation activation_{CUDNN_ACTIVATION_TANH};
};

#endif  // USE_CUDNN

}  // namespace caffe

#endif  // CAFFE_CUDNN_TANH_LAYER_HPP_
