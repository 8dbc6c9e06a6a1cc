// y = x / (1 + |x|), a layer that Caffe does not have.
#include <cmath>
#include <vector>

#include "caffe/layer_factory.hpp"
#include "caffe/layers/neuron_layer.hpp"

namespace caffe {

/// Softsign, element by element. May be in-place: its derivative (1 - |y|)^2 needs the output alone.
template <typename Dtype>
class SoftsignLayer : public NeuronLayer<Dtype> {
 public:
  explicit SoftsignLayer(const LayerParameter& param) : NeuronLayer<Dtype>(param) {}
  const char* type() const override { return "Softsign"; }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override {
    const Dtype* x = bottom[0]->cpu_data();
    Dtype* y = top[0]->mutable_cpu_data();
    for (int i = 0; i < bottom[0]->count(); ++i) y[i] = x[i] / (1 + std::fabs(x[i]));
  }

  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override {
    if (!propagate_down[0]) return;
    const Dtype* y = top[0]->cpu_data();
    const Dtype* top_diff = top[0]->cpu_diff();
    Dtype* bottom_diff = bottom[0]->mutable_cpu_diff();
    for (int i = 0; i < bottom[0]->count(); ++i) {
      const Dtype slope = 1 - std::fabs(y[i]);
      bottom_diff[i] = top_diff[i] * slope * slope;
    }
  }
};

INSTANTIATE_CLASS(SoftsignLayer);
REGISTER_LAYER_CLASS(Softsign);

}  // namespace caffe
