#ifndef CAFFE_DROPOUT_LAYER_HPP_
#define CAFFE_DROPOUT_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layers/neuron_layer.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/**
 * @brief In training sets each element to 0 with probability dropout_ratio and divides the others by
 * 1 - dropout_ratio; otherwise y = x (Srivastava et al., "Dropout", 2014). May be in-place.
 */
template <typename Dtype>
class DropoutLayer : public NeuronLayer<Dtype> {
 public:
  explicit DropoutLayer(const LayerParameter& param) : NeuronLayer<Dtype>(param) {}
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  const char* type() const override { return "Dropout"; }
  bool ReadsBottomData(int) const override { return false; }
  bool ReadsTopData(int) const override { return false; }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

  /// 1 where an element is kept.
  Blob<unsigned int> rand_vec_;
  /// The probability of 0.
  Dtype threshold_ = 0;
  /// 1 / (1 - threshold_)
  Dtype scale_ = 1;
  unsigned int uint_thres_ = 0;
};

}  // namespace caffe

#endif  // CAFFE_DROPOUT_LAYER_HPP_
