#ifndef CAFFE_SIGMOID_LAYER_HPP_
#define CAFFE_SIGMOID_LAYER_HPP_

#include <vector>

#include "caffe/layers/neuron_layer.hpp"
#include "caffe/util/neuron_functions.hpp"

namespace caffe {

/// y = 1 / (1 + e^-x). May be in-place.
template <typename Dtype>
class SigmoidLayer : public FunctionLayer<Dtype, SigmoidFunction<Dtype>> {
 public:
  explicit SigmoidLayer(const LayerParameter& param)
      : FunctionLayer<Dtype, SigmoidFunction<Dtype>>(
            param, param.sigmoid_param().engine() == SigmoidParameter_Engine_CAFFE) {}
  const char* type() const override { return "Sigmoid"; }

 protected:
  SigmoidFunction<Dtype> function() const override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
};

}  // namespace caffe

#endif  // CAFFE_SIGMOID_LAYER_HPP_
