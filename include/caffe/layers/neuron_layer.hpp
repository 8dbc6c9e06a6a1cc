#ifndef CAFFE_NEURON_LAYER_HPP_
#define CAFFE_NEURON_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/elementwise.hpp"
#include "caffe/util/engine_choice.hpp"
#include "caffe/util/library_function.hpp"

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
 * The derived class makes the function from its parameters. In place, a function whose derivative needs the
 * input keeps a copy of it. On the CPU oneDNN computes those that take it less time (library_function.hpp).
 */
template <typename Dtype, typename Function>
class FunctionLayer : public NeuronLayer<Dtype> {
 public:
  /// @param wants_caffe whether the layer's `engine` is CAFFE.
  explicit FunctionLayer(const LayerParameter& param, bool wants_caffe = false)
      : NeuronLayer<Dtype>(param),
        may_use_library_(ToLibrary<Function>::kIsPossible && MayUseLibraries(wants_caffe)) {}

 protected:
  virtual Function function() const = 0;

  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override {
    if (KeepsInput(bottom, top)) input_.CopyFrom(*bottom[0], false, true);
    const int count = bottom[0]->count();
    const Dtype* x = bottom[0]->cpu_data();
    Dtype* y = top[0]->mutable_cpu_data();
    if constexpr (ToLibrary<Function>::kIsPossible) {
      if (may_use_library_ && ForwardByLibrary(ToLibrary<Function>::Of(function()), count, x, y)) return;
    }
    ElementwiseForward(count, function(), x, y);
  }

  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override {
    if (!propagate_down[0]) return;
    const int count = bottom[0]->count();
    const Dtype* y = top[0]->cpu_data();
    const Dtype* dy = top[0]->cpu_diff();
    Dtype* dx = bottom[0]->mutable_cpu_diff();
    if constexpr (ToLibrary<Function>::kIsDerivativePossible) {
      const LibraryFunction derivative = ToLibrary<Function>::DerivativeOf(function());
      if (may_use_library_ && BackwardByLibrary(derivative, count, y, dy, dx)) return;
    }
    const Dtype* x = (KeepsInput(bottom, top) ? input_ : *bottom[0]).cpu_data();
    ElementwiseBackward(count, function(), x, y, dy, dx);
  }

#ifndef CPU_ONLY
  // The same on the GPU, for the GPU half of the derived class; defined in caffe/util/elementwise.cuh.
  void ForwardOnGpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top);
  void BackwardOnGpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                     const vector<Blob<Dtype>*>& bottom);
#endif

 private:
  static bool KeepsInput(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
    return Function::kNeedsInput && bottom[0] == top[0];
  }

  const bool may_use_library_;
  /// The bottom before it was overwritten in place.
  Blob<Dtype> input_;
};

}  // namespace caffe

#endif  // CAFFE_NEURON_LAYER_HPP_
