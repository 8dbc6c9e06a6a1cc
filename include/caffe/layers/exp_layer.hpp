#ifndef CAFFE_EXP_LAYER_HPP_
#define CAFFE_EXP_LAYER_HPP_

#include <vector>

#include "caffe/layers/neuron_layer.hpp"
#include "caffe/util/neuron_functions.hpp"

namespace caffe {

/// y = base^(shift + scale x), with base e for base -1. May be in-place.
template <typename Dtype>
class ExpLayer : public FunctionLayer<Dtype, ExpFunction<Dtype>> {
 public:
  explicit ExpLayer(const LayerParameter& param) : FunctionLayer<Dtype, ExpFunction<Dtype>>(param) {}
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  const char* type() const override { return "Exp"; }

 protected:
  ExpFunction<Dtype> function() const override { return {inner_scale_, outer_scale_}; }
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

  /// y = outer_scale_ * exp(inner_scale_ * x)
  Dtype inner_scale_ = 1;
  Dtype outer_scale_ = 1;
};

}  // namespace caffe

#endif  // CAFFE_EXP_LAYER_HPP_
