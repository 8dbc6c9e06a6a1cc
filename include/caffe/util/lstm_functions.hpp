#ifndef CAFFE_UTIL_LSTM_FUNCTIONS_HPP_
#define CAFFE_UTIL_LSTM_FUNCTIONS_HPP_

#include "caffe/util/device_alternate.hpp"

namespace caffe {

/// The gates' values of hidden unit d, of which there are `dim`, in the order of their rows: input, forget,
/// output, and what is let in.
template <typename Dtype>
struct LstmGates {
  Dtype i, f, o, g;

  CAFFE_HOST_DEVICE LstmGates(const Dtype* row, int d, int dim)
      : i(row[d]), f(row[dim + d]), o(row[2 * dim + d]), g(row[3 * dim + d]) {}

  /// The cell's new state. cont: 0 at the start of a sequence, else 1.
  CAFFE_HOST_DEVICE Dtype Cell(Dtype cont, Dtype previous) const {
    // A product with cont would let a NaN of the sequence before through.
    const Dtype kept = cont == 0 ? Dtype(0) : cont * f * previous;
    return kept + i * g;
  }
  /// The unit's output, by the tanh of the new state.
  CAFFE_HOST_DEVICE Dtype Hidden(Dtype tanh_c) const { return o * tanh_c; }
};

/// The gradients of one unit by its cell's last state and by what its gates were computed from.
template <typename Dtype>
struct LstmGradients {
  Dtype previous, i, f, o, g;

  /// By the tanh of the cell's new state, and the gradients of that state and of the output.
  CAFFE_HOST_DEVICE LstmGradients(const LstmGates<Dtype>& gate, Dtype cont, Dtype previous_cell, Dtype tanh_c,
                                  Dtype cell_diff, Dtype hidden_diff) {
    const Dtype dc = cell_diff + hidden_diff * gate.o * (1 - tanh_c * tanh_c);
    previous = dc * cont * gate.f;
    i = dc * gate.g * gate.i * (1 - gate.i);
    f = cont == 0 ? Dtype(0) : dc * cont * previous_cell * gate.f * (1 - gate.f);
    o = hidden_diff * tanh_c * gate.o * (1 - gate.o);
    g = dc * gate.i * (1 - gate.g * gate.g);
  }
  CAFFE_HOST_DEVICE void Store(Dtype* row, int d, int dim) const {
    row[d] = i;
    row[dim + d] = f;
    row[2 * dim + d] = o;
    row[3 * dim + d] = g;
  }
};

}  // namespace caffe

#endif  // CAFFE_UTIL_LSTM_FUNCTIONS_HPP_
