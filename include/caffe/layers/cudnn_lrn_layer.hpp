#ifndef CAFFE_CUDNN_LRN_LAYER_HPP_
#define CAFFE_CUDNN_LRN_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layers/lrn_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/cudnn.hpp"

namespace caffe {

#ifdef USE_CUDNN

/**
 * @brief cuDNN's normalization across channels for the GPU; the CPU's side is LRNLayer's.
 *
 * The parameters are those of LRNLayer with norm_region: ACROSS_CHANNELS. What cuDNN does not take (a
 * local_size above 16, a very small k or beta) is LRNLayer's on the GPU, too.
 */
template <typename Dtype>
class CuDNNLRNLayer : public LRNLayer<Dtype> {
 public:
  explicit CuDNNLRNLayer(const LayerParameter& param) : LRNLayer<Dtype>(param) {}

 protected:
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

 private:
  bool IsForCudnn(const Blob<Dtype>& bottom) const;

  cudnn::TensorDescriptor tensor_desc_;
  cudnn::LRNDescriptor norm_desc_;
};

#endif  // USE_CUDNN

}  // namespace caffe

#endif  // CAFFE_CUDNN_LRN_LAYER_HPP_
