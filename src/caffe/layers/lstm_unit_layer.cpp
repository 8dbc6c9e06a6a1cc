#include "caffe/layers/lstm_layer.hpp"
#include "caffe/util/library_function.hpp"
#include "caffe/util/lstm_functions.hpp"
#include "caffe/util/parallel_for.hpp"

namespace caffe {

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
  const TanhFunction<Dtype> tanh;
  const bool may_use_library = may_use_library_;
  ParallelFor(bottom[0]->shape(1), kElementGrain / (16 * dim + 1), [=](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      Dtype* act = acts + n * 4 * dim;
      const Dtype* input = x + n * 4 * dim;
      Dtype *cell = c + n * dim, *hidden = h + n * dim;
      ForwardAlone(sigmoid, may_use_library, 3 * dim, input, act);
      ForwardAlone(tanh, may_use_library, dim, input + 3 * dim, act + 3 * dim);
      for (int d = 0; d < dim; ++d)
        cell[d] = LstmGates<Dtype>(act, d, dim).Cell(cont[n], c_prev[n * dim + d]);
      ForwardAlone(tanh, may_use_library, dim, cell, hidden);
      for (int d = 0; d < dim; ++d) hidden[d] = LstmGates<Dtype>(act, d, dim).Hidden(hidden[d]);
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
  const bool may_use_library = may_use_library_;
  ParallelFor(bottom[0]->shape(1), kElementGrain / (16 * dim + 1), [=](int64_t begin, int64_t end) {
    vector<Dtype> tanh_c(dim);
    for (int64_t n = begin; n < end; ++n) {
      ForwardAlone(TanhFunction<Dtype>(), may_use_library, dim, c + n * dim, tanh_c.data());
      for (int d = 0; d < dim; ++d) {
        const int64_t at = n * dim + d;
        const LstmGates<Dtype> gates(acts + n * 4 * dim, d, dim);
        const LstmGradients<Dtype> gradients(gates, cont[n], c_prev[at], tanh_c[d], c_diff[at], h_diff[at]);
        c_prev_diff[at] = gradients.previous;
        gradients.Store(x_diff + n * 4 * dim, d, dim);
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
