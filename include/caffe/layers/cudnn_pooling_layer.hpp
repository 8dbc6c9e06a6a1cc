#ifndef CAFFE_CUDNN_POOLING_LAYER_HPP_
#define CAFFE_CUDNN_POOLING_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layers/pooling_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/cudnn.hpp"

namespace caffe {

#ifdef USE_CUDNN

/**
 * @brief cuDNN's pooling for the GPU; the CPU's side is PoolingLayer's.
 *
 * So is the GPU's where cuDNN computes something else, or nothing: STOCHASTIC, a mask as second top, and
 * windows that reach beyond the padding, which rounding up makes. The gradient of MAX reads bottom and top
 * once more, so that a layer in place behind it makes it wrong; layers by name are of this class for AVE
 * alone.
 */
template <typename Dtype>
class CuDNNPoolingLayer : public PoolingLayer<Dtype> {
 public:
  explicit CuDNNPoolingLayer(const LayerParameter& param) : PoolingLayer<Dtype>(param) {}
  bool ReadsBottomData(int bottom_index) const override {
    return ReadsValues() || PoolingLayer<Dtype>::ReadsBottomData(bottom_index);
  }
  bool ReadsTopData(int top_index) const override {
    return ReadsValues() || PoolingLayer<Dtype>::ReadsTopData(top_index);
  }

 protected:
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

 private:
  bool ReadsValues() const {
    return Caffe::mode() == Caffe::GPU &&
           this->layer_param_.pooling_param().pool() == PoolingParameter_PoolMethod_MAX;
  }
  /// Whether it is cuDNN's, for what the layer was last shaped for.
  bool IsForCudnn(const Blob<Dtype>& bottom, size_t num_tops) const;
  cudnnPoolingDescriptor_t Windows();

  cudnn::TensorDescriptor bottom_desc_, top_desc_;
  cudnn::PoolingDescriptor pooling_desc_;
};

#endif  // USE_CUDNN

}  // namespace caffe

#endif  // CAFFE_CUDNN_POOLING_LAYER_HPP_
