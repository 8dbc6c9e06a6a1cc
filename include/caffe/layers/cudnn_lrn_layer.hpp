#ifndef CAFFE_CUDNN_LRN_LAYER_HPP_
#define CAFFE_CUDNN_LRN_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layers/lrn_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/cudnn_state.hpp"

namespace caffe {

#ifdef USE_CUDNN

/// cuDNN's normalization across channels for the GPU; the CPU's side is LRNLayer's.
///
/// The parameters are those of LRNLayer with norm_region: ACROSS_CHANNELS.
template <typename Dtype>
class CuDNNLRNLayer : public LRNLayer<Dtype>, protected cudnn::NormalizationState {
 public:
  explicit CuDNNLRNLayer(const LayerParameter& param) : LRNLayer<Dtype>(param) {}
  CuDNNLRNLayer(const CuDNNLRNLayer&) = delete;
  CuDNNLRNLayer& operator=(const CuDNNLRNLayer&) = delete;
  ~CuDNNLRNLayer() override;
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

 protected:
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

  Dtype alpha_ = 0, beta_ = 0, k_ = 0;
};

#endif  // USE_CUDNN

}  // namespace caffe

#endif  // CAFFE_CUDNN_LRN_LAYER_HPP_
