#ifndef CAFFE_NEURON_LAYER_HPP_
#define CAFFE_NEURON_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/elementwise.hpp"

namespace caffe {

/// Base of layers that map one blob to one of the same shape, element by element.
template <typename Dtype>
class NeuronLayer : public Layer<Dtype> {
 public:
  explicit NeuronLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }
};

/**
 * @brief A neuron layer that is a function of caffe/util/neuron_functions.hpp.
 *
 * The derived class makes the function from its parameters.
 */
template <typename Dtype, typename Function>
class FunctionLayer : public NeuronLayer<Dtype> {
 public:
  explicit FunctionLayer(const LayerParameter& param) : NeuronLayer<Dtype>(param) {}

 protected:
  virtual Function function() const = 0;

  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override {
    ElementwiseForward(bottom[0]->count(), function(), bottom[0]->cpu_data(), top[0]->mutable_cpu_data());
  }

  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override {
    if (!propagate_down[0]) return;
    const Dtype* x = bottom[0]->cpu_data();
    const Dtype* y = top[0]->cpu_data();
    CHECK(!Function::kNeedsInput || x != y)
        << "cannot run backward in place: the gradient needs the input; give the top another name";
    ElementwiseBackward(bottom[0]->count(), function(), x, y, top[0]->cpu_diff(),
                        bottom[0]->mutable_cpu_diff());
  }
};

}  // namespace caffe

#endif  // CAFFE_NEURON_LAYER_HPP_
