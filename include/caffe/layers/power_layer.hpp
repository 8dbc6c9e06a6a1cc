#ifndef CAFFE_POWER_LAYER_HPP_
#define CAFFE_POWER_LAYER_HPP_

#include <vector>

#include "caffe/layers/neuron_layer.hpp"
#include "caffe/util/neuron_functions.hpp"

namespace caffe {

/// y = (shift + scale x)^power. May be in-place.
template <typename Dtype>
class PowerLayer : public FunctionLayer<Dtype, PowerFunction<Dtype>> {
 public:
  explicit PowerLayer(const LayerParameter& param) : FunctionLayer<Dtype, PowerFunction<Dtype>>(param) {}
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  const char* type() const override { return "Power"; }

 protected:
  PowerFunction<Dtype> function() const override { return {power_, scale_, shift_}; }
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

  Dtype power_ = 1;
  Dtype scale_ = 1;
  Dtype shift_ = 0;
  /// Factor of the derivative.
  Dtype diff_scale_ = 1;
};

}  // namespace caffe

#endif  // CAFFE_POWER_LAYER_HPP_
