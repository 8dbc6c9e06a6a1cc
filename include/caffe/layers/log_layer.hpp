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
  const char* type() const override { return "Log"; }

 protected:
  LogFunction<Dtype> function() const override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
};

}  // namespace caffe

#endif  // CAFFE_LOG_LAYER_HPP_
