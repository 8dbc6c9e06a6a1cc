#ifndef CAFFE_RELU_LAYER_HPP_
#define CAFFE_RELU_LAYER_HPP_

#include <vector>

#include "caffe/layers/neuron_layer.hpp"
#include "caffe/util/neuron_functions.hpp"

namespace caffe {

/// y = max(0, x) + negative_slope min(0, x). May be in-place.
template <typename Dtype>
class ReLULayer : public FunctionLayer<Dtype, ReluFunction<Dtype>> {
 public:
  explicit ReLULayer(const LayerParameter& param) : FunctionLayer<Dtype, ReluFunction<Dtype>>(param) {}
  const char* type() const override { return "ReLU"; }

 protected:
  ReluFunction<Dtype> function() const override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
};

}  // namespace caffe

#endif  // CAFFE_RELU_LAYER_HPP_
