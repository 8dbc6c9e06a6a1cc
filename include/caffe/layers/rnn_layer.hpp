#ifndef CAFFE_RNN_LAYER_HPP_
#define CAFFE_RNN_LAYER_HPP_

#include <string>
#include <vector>

#include "caffe/layers/recurrent_layer.hpp"

namespace caffe {

/**
 * @brief A simple recurrent net:
 *     h_t = tanh(W_hh (cont_t h_{t-1}) + W_xh x_t + b_h (+ W_xh_static x_static))
 *     o_t = tanh(W_ho h_t + b_o)
 *
 * Parameters in order: W_xh, b_h, (W_xh_static,) W_hh, W_ho, b_o. The output o has shape T x N x num_output.
 */
template <typename Dtype>
class RNNLayer : public RecurrentLayer<Dtype> {
 public:
  explicit RNNLayer(const LayerParameter& param) : RecurrentLayer<Dtype>(param) {}
  const char* type() const override { return "RNN"; }

 protected:
  void FillUnrolledNet(NetParameter* net_param) const override;
  void RecurrentInputBlobNames(vector<string>* names) const override { *names = {"h_0"}; }
  void RecurrentOutputBlobNames(vector<string>* names) const override { *names = {"h_T"}; }
  void RecurrentInputShapes(vector<BlobShape>* shapes) const override;
  void OutputBlobNames(vector<string>* names) const override { *names = {"o"}; }
};

}  // namespace caffe

#endif  // CAFFE_RNN_LAYER_HPP_
