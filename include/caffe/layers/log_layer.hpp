#ifndef CAFFE_LOG_LAYER_HPP_
#define CAFFE_LOG_LAYER_HPP_

#include <vector>

#include "caffe/layers/neuron_layer.hpp"
#include "caffe/util/neuron_functions.hpp"

namespace caffe {

/// y = log_base(shift + scale x), with base e for base -1. May be in-place.
template <typename Dtype>
class LogLayer : public FunctionLayer<Dtype, LogFunction<Dtype>> {
 public:
  explicit LogLayer(const LayerParameter& param) : FunctionLayer<Dtype, LogFunction<Dtype>>(param) {}
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  const char* type() const override { return "Log"; }

 protected:
  LogFunction<Dtype> function() const override { return {input_scale_, input_shift_, base_scale_}; }
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

  /// y = base_scale_ * ln(input_scale_ * x + input_shift_)
  Dtype base_scale_ = 1;
  Dtype input_scale_ = 1;
  Dtype input_shift_ = 0;
  /// Numerator of the derivative.
  Dtype backward_num_scale_ = 1;
};

}  // namespace caffe

#endif  // CAFFE_LOG_LAYER_HPP_
