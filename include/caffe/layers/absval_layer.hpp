#ifndef CAFFE_ABSVAL_LAYER_HPP_
#define CAFFE_ABSVAL_LAYER_HPP_

#include <vector>

#include "caffe/layers/neuron_layer.hpp"
#include "caffe/util/neuron_functions.hpp"

namespace caffe {

/// y = |x|. Not in-place.
template <typename Dtype>
class AbsValLayer : public FunctionLayer<Dtype, AbsValFunction<Dtype>> {
 public:
  explicit AbsValLayer(const LayerParameter& param) : FunctionLayer<Dtype, AbsValFunction<Dtype>>(param) {}
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  const char* type() const override { return "AbsVal"; }

 protected:
  AbsValFunction<Dtype> function() const override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
};

}  // namespace caffe

#endif  // CAFFE_ABSVAL_LAYER_HPP_
