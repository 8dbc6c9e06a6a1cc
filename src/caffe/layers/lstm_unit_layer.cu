#include "caffe/layers/lstm_layer.hpp"
#include "caffe/util/gpu_launch.cuh"
#include "caffe/util/lstm_functions.hpp"
#include "caffe/util/neuron_functions.hpp"

namespace caffe {

namespace {

template <typename Dtype>
void Step(int streams, int dim, const Dtype* c_prev, const Dtype* x, const Dtype* cont, Dtype* acts, Dtype* c,
          Dtype* h) {
  const SigmoidFunction<Dtype> sigmoid;
  const TanhFunction<Dtype> tanh;
  GpuForEach(static_cast<int64_t>(streams) * dim, [=] __device__(int at) {
    const int n = at / dim, d = at % dim;
    Dtype* act = acts + n * 4 * dim;
    for (int gate = 0; gate < 4; ++gate) {
      const Dtype input = x[(n * 4 + gate) * dim + d];
      act[gate * dim + d] = gate < 3 ? sigmoid.Forward(input) : tanh.Forward(input);
    }
    const LstmGates<Dtype> gates(act, d, dim);
    c[at] = gates.Cell(cont[n], c_prev[at]);
    h[at] = gates.Hidden(tanh.Forward(c[at]));
  });
}

template <typename Dtype>
void StepBackward(int streams, int dim, const Dtype* c_prev, const Dtype* acts, const Dtype* cont,
                  const Dtype* c, const Dtype* c_diff, const Dtype* h_diff, Dtype* c_prev_diff,
                  Dtype* x_diff) {
  const TanhFunction<Dtype> tanh;
  GpuForEach(static_cast<int64_t>(streams) * dim, [=] __device__(int at) {
    const int n = at / dim, d = at % dim;
    const LstmGates<Dtype> gates(acts + n * 4 * dim, d, dim);
    const LstmGradients<Dtype> gradients(gates, cont[n], c_prev[at], tanh.Forward(c[at]), c_diff[at],
                                         h_diff[at]);
    c_prev_diff[at] = gradients.previous;
    gradients.Store(x_diff + n * 4 * dim, d, dim);
  });
}

}  // namespace

template <typename Dtype>
void LSTMUnitLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  Step(bottom[0]->shape(1), hidden_dim_, bottom[0]->gpu_data(), bottom[1]->gpu_data(), bottom[2]->gpu_data(),
       X_acts_.mutable_gpu_data(), top[0]->mutable_gpu_data(), top[1]->mutable_gpu_data());
}

template <typename Dtype>
void LSTMUnitLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                        const vector<Blob<Dtype>*>& bottom) {
  CHECK(!propagate_down[2]) << "sequence indicators have no gradient";
  if (!propagate_down[0] && !propagate_down[1]) return;
  StepBackward(bottom[0]->shape(1), hidden_dim_, bottom[0]->gpu_data(), X_acts_.gpu_data(),
               bottom[2]->gpu_data(), top[0]->gpu_data(), top[0]->gpu_diff(), top[1]->gpu_diff(),
               bottom[0]->mutable_gpu_diff(), bottom[1]->mutable_gpu_diff());
}

INSTANTIATE_LAYER_GPU_FUNCS(LSTMUnitLayer);

}  // namespace caffe
