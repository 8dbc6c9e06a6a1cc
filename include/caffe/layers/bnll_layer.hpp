#ifndef CAFFE_BNLL_LAYER_HPP_
#define CAFFE_BNLL_LAYER_HPP_

#include <vector>

#include "caffe/layers/neuron_layer.hpp"
#include "caffe/util/neuron_functions.hpp"

namespace caffe {

/// Binomial normal log likelihood: y = log(1 + e^x). May be in-place.
template <typename Dtype>
class BNLLLayer : public FunctionLayer<Dtype, BnllFunction<Dtype>> {
 public:
  explicit BNLLLayer(const LayerParameter& param) : FunctionLayer<Dtype, BnllFunction<Dtype>>(param) {}
  const char* type() const override { return "BNLL"; }

 protected:
  BnllFunction<Dtype> function() const override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
};

}  // namespace caffe

#endif  // CAFFE_BNLL_LAYER_HPP_
