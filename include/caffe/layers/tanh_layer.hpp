#ifndef CAFFE_TANH_LAYER_HPP_
#define CAFFE_TANH_LAYER_HPP_

#include <vector>

#include "caffe/layers/neuron_layer.hpp"
#include "caffe/util/neuron_functions.hpp"

namespace caffe {

/// y = tanh(x). May be in-place.
template <typename Dtype>
class TanHLayer : public FunctionLayer<Dtype, TanhFunction<Dtype>> {
 public:
  explicit TanHLayer(const LayerParameter& param)
      : FunctionLayer<Dtype, TanhFunction<Dtype>>(
            param, param.tanh_param().engine() == TanHParameter_Engine_CAFFE) {}
  const char* type() const override { return "TanH"; }

 protected:
  TanhFunction<Dtype> function() const override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
};

}  // namespace caffe

#endif  // CAFFE_TANH_LAYER_HPP_
