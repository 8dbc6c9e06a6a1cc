#include <cmath>

#include "caffe/layers/lstm_layer.hpp"
#include "caffe/util/neuron_functions.hpp"
#include "caffe/util/parallel_for.hpp"

namespace caffe {

namespace {

// The gates' values of one hidden unit, in the order of their rows.
template <typename Dtype>
struct Gates {
  Gates(const Dtype* row, int d, int dim)
      : i(row[d]), f(row[dim + d]), o(row[2 * dim + d]), g(row[3 * dim + d]) {}
  Dtype i, f, o, g;
};

}  // namespace

template <typename Dtype>
void LSTMUnitLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  CHECK_EQ(bottom[0]->num_axes(), 3) << "the cell state must have shape 1 x N x D";
  CHECK_EQ(bottom[1]->num_axes(), 3) << "the gates' inputs must have shape 1 x N x 4D";
  hidden_dim_ = bottom[0]->shape(2);
  for (const Blob<Dtype>* blob : bottom) {
    CHECK_EQ(blob->shape(0), 1) << "an LSTM unit takes one time step";
    CHECK_EQ(blob->shape(1), bottom[0]->shape(1)) << "all bottoms must have the same number of streams";
  }
  CHECK_EQ(bottom[1]->shape(2), 4 * hidden_dim_) << "there must be 4 gates for each hidden unit";
  CHECK_EQ(bottom[2]->num_axes(), 2) << "the sequence indicators must have shape 1 x N";
  top[0]->ReshapeLike(*bottom[0]);
  top[1]->ReshapeLike(*bottom[0]);
  X_acts_.ReshapeLike(*bottom[1]);
}

template <typename Dtype>
void LSTMUnitLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const int dim = hidden_dim_;
  const Dtype* c_prev = bottom[0]->cpu_data();
  const Dtype* x = bottom[1]->cpu_data();
  const Dtype* cont = bottom[2]->cpu_data();
  Dtype* acts = X_acts_.mutable_cpu_data();
  Dtype* c = top[0]->mutable_cpu_data();
  Dtype* h = top[1]->mutable_cpu_data();
  const SigmoidFunction<Dtype> sigmoid;
  ParallelFor(bottom[0]->shape(1), kElementGrain / (16 * dim + 1), [=](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      Dtype* act = acts + n * 4 * dim;
      for (int k = 0; k < 3 * dim; ++k) act[k] = sigmoid.Forward(x[n * 4 * dim + k]);
      for (int k = 3 * dim; k < 4 * dim; ++k) act[k] = std::tanh(x[n * 4 * dim + k]);
      for (int d = 0; d < dim; ++d) {
        const Gates<Dtype> gate(act, d, dim);
        // A product with cont would let a NaN of the sequence before through.
        const Dtype kept = cont[n] == 0 ? Dtype(0) : cont[n] * gate.f * c_prev[n * dim + d];
        c[n * dim + d] = kept + gate.i * gate.g;
        h[n * dim + d] = gate.o * std::tanh(c[n * dim + d]);
      }
    }
  });
}

template <typename Dtype>
void LSTMUnitLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                        const vector<Blob<Dtype>*>& bottom) {
  CHECK(!propagate_down[2]) << "sequence indicators have no gradient";
  if (!propagate_down[0] && !propagate_down[1]) return;
  const int dim = hidden_dim_;
  const Dtype* c_prev = bottom[0]->cpu_data();
  const Dtype* acts = X_acts_.cpu_data();
  const Dtype* cont = bottom[2]->cpu_data();
  const Dtype* c = top[0]->cpu_data();
  const Dtype* c_diff = top[0]->cpu_diff();
  const Dtype* h_diff = top[1]->cpu_diff();
  Dtype* c_prev_diff = bottom[0]->mutable_cpu_diff();
  Dtype* x_diff = bottom[1]->mutable_cpu_diff();
  ParallelFor(bottom[0]->shape(1), kElementGrain / (16 * dim + 1), [=](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      Dtype* gate_diff = x_diff + n * 4 * dim;
      for (int d = 0; d < dim; ++d) {
        const int64_t at = n * dim + d;
        const Gates<Dtype> gate(acts + n * 4 * dim, d, dim);
        const Dtype tanh_c = std::tanh(c[at]);
        const Dtype dc = c_diff[at] + h_diff[at] * gate.o * (1 - tanh_c * tanh_c);
        c_prev_diff[at] = dc * cont[n] * gate.f;
        gate_diff[d] = dc * gate.g * gate.i * (1 - gate.i);
        gate_diff[dim + d] = cont[n] == 0 ? Dtype(0) : dc * cont[n] * c_prev[at] * gate.f * (1 - gate.f);
        gate_diff[2 * dim + d] = h_diff[at] * tanh_c * gate.o * (1 - gate.o);
        gate_diff[3 * dim + d] = dc * gate.i * (1 - gate.g * gate.g);
      }
    }
  });
}

#ifdef CPU_ONLY
STUB_GPU(LSTMUnitLayer);
#endif

INSTANTIATE_CLASS(LSTMUnitLayer);
REGISTER_LAYER_CLASS(LSTMUnit);

}  // namespace caffe
