#ifndef CAFFE_LRN_LAYER_HPP_
#define CAFFE_LRN_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/layers/eltwise_layer.hpp"
#include "caffe/layers/pooling_layer.hpp"
#include "caffe/layers/power_layer.hpp"
#include "caffe/layers/split_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/lrn_functions.hpp"

namespace caffe {

/**
 * @brief Local response normalization (Krizhevsky et al., 2012): y = x (k + alpha / n sum of x^2)^-beta, the
 * sum over local_size neighbouring channels and n = local_size, or WITHIN_CHANNEL over a local_size x
 * local_size window, zero-padded, and n its size.
 */
template <typename Dtype>
class LRNLayer : public Layer<Dtype> {
 public:
  explicit LRNLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  const char* type() const override { return "LRN"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

  virtual void CrossChannelForward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top);
  virtual void CrossChannelBackward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                        const vector<Blob<Dtype>*>& bottom);
  virtual void CrossChannelForward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top);
  virtual void CrossChannelBackward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                        const vector<Blob<Dtype>*>& bottom);
  virtual void WithinChannelForward(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top);
  virtual void WithinChannelBackward(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                     const vector<Blob<Dtype>*>& bottom);

  int size_ = 0, pre_pad_ = 0;
  Dtype alpha_ = 0, beta_ = 0, k_ = 0;
  int num_ = 0, channels_ = 0, height_ = 0, width_ = 0;
  /// Across channels: k + alpha / n sum of x^2.
  Blob<Dtype> scale_;
  /// Within a channel: x and its square from a copy each, the square's mean over the window, (1 + alpha mean)
  /// to the power of -beta, and the product of that with x.
  shared_ptr<SplitLayer<Dtype>> split_layer_;
  vector<Blob<Dtype>*> split_top_vec_;
  shared_ptr<PowerLayer<Dtype>> square_layer_;
  Blob<Dtype> square_input_, square_output_;
  vector<Blob<Dtype>*> square_bottom_vec_, square_top_vec_;
  shared_ptr<PoolingLayer<Dtype>> pool_layer_;
  Blob<Dtype> pool_output_;
  vector<Blob<Dtype>*> pool_top_vec_;
  shared_ptr<PowerLayer<Dtype>> power_layer_;
  Blob<Dtype> power_output_;
  vector<Blob<Dtype>*> power_top_vec_;
  shared_ptr<EltwiseLayer<Dtype>> product_layer_;
  Blob<Dtype> product_input_;
  vector<Blob<Dtype>*> product_bottom_vec_;

 private:
  LrnFunction<Dtype> Function() const;
  void SetUpWithinChannel(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top);
};

}  // namespace caffe

#endif  // CAFFE_LRN_LAYER_HPP_
