#ifndef CAFFE_SWISH_LAYER_HPP_
#define CAFFE_SWISH_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layers/neuron_layer.hpp"
#include "caffe/layers/sigmoid_layer.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/// y = x sigmoid(beta x) (Ramachandran et al., "Searching for Activation Functions", 2017). May be in-place.
template <typename Dtype>
class SwishLayer : public NeuronLayer<Dtype> {
 public:
  explicit SwishLayer(const LayerParameter& param) : NeuronLayer<Dtype>(param) {}
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  const char* type() const override { return "Swish"; }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

  /// Makes sigmoid(beta x), which the gradient needs, too.
  shared_ptr<SigmoidLayer<Dtype>> sigmoid_layer_;
  shared_ptr<Blob<Dtype>> sigmoid_input_, sigmoid_output_;
  vector<Blob<Dtype>*> sigmoid_bottom_vec_, sigmoid_top_vec_;
};

}  // namespace caffe

#endif  // CAFFE_SWISH_LAYER_HPP_
