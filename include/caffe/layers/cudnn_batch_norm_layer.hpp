#ifndef CAFFE_CUDNN_BATCH_NORM_LAYER_HPP_
#define CAFFE_CUDNN_BATCH_NORM_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layers/batch_norm_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/cudnn.hpp"

namespace caffe {

#ifdef USE_CUDNN

/**
 * @brief cuDNN's batch normalization for the GPU; the CPU's side is BatchNormLayer's.
 *
 * So is the GPU's in place, where the gradient is made of the normalized values, which cuDNN would need
 * another pass over memory to keep, and for batches that cuDNN does not take.
 */
template <typename Dtype>
class CuDNNBatchNormLayer : public BatchNormLayer<Dtype> {
 public:
  explicit CuDNNBatchNormLayer(const LayerParameter& param) : BatchNormLayer<Dtype>(param) {}
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

 protected:
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

 private:
  bool IsForCudnn(const Blob<Dtype>& bottom, const Blob<Dtype>& top) const;
  cudnnBatchNormMode_t Mode() const;
  void ForwardBatch(const Blob<Dtype>& bottom, Blob<Dtype>* top);
  void ForwardKept(const Blob<Dtype>& bottom, Blob<Dtype>* top);

  // The bottom is items x channels x elements.
  int items_ = 0, elements_ = 0;
  cudnn::TensorDescriptor images_desc_, channels_desc_;
  /// What cuDNN multiplies by and adds: 1 and 0 for each channel.
  Blob<Dtype> ones_, zeros_;
  /// 1 / sqrt(variance + eps) of the last batch.
  Blob<Dtype> inverse_deviation_;
};

#endif  // USE_CUDNN

}  // namespace caffe

#endif  // CAFFE_CUDNN_BATCH_NORM_LAYER_HPP_
