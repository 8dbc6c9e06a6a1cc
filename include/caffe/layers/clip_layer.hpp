#ifndef CAFFE_CLIP_LAYER_HPP_
#define CAFFE_CLIP_LAYER_HPP_

#include <vector>

#include "caffe/layers/neuron_layer.hpp"
#include "caffe/util/neuron_functions.hpp"

namespace caffe {

/// y = min(max(x, min), max). May be in-place.
template <typename Dtype>
class ClipLayer : public FunctionLayer<Dtype, ClipFunction<Dtype>> {
 public:
  explicit ClipLayer(const LayerParameter& param) : FunctionLayer<Dtype, ClipFunction<Dtype>>(param) {}
  const char* type() const override { return "Clip"; }

 protected:
  ClipFunction<Dtype> function() const override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
};

}  // namespace caffe

#endif  // CAFFE_CLIP_LAYER_HPP_
