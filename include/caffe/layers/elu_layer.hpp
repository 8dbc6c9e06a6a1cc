#ifndef CAFFE_ELU_LAYER_HPP_
#define CAFFE_ELU_LAYER_HPP_

#include <vector>

#include "caffe/layers/neuron_layer.hpp"
#include "caffe/util/neuron_functions.hpp"

namespace caffe {

/// y = x for x > 0, else alpha (e^x - 1). May be in-place where alpha is not negative.
template <typename Dtype>
class ELULayer : public FunctionLayer<Dtype, EluFunction<Dtype>> {
 public:
  explicit ELULayer(const LayerParameter& param) : FunctionLayer<Dtype, EluFunction<Dtype>>(param) {}
  const char* type() const override { return "ELU"; }

 protected:
  EluFunction<Dtype> function() const override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
};

}  // namespace caffe

#endif  // CAFFE_ELU_LAYER_HPP_
