#ifndef CAFFE_LSTM_LAYER_HPP_
#define CAFFE_LSTM_LAYER_HPP_

#include <string>
#include <vector>

#include "caffe/layers/recurrent_layer.hpp"
#include "caffe/util/engine_choice.hpp"

namespace caffe {

/**
 * @brief Long short-term memory (Hochreiter and Schmidhuber, 1997) with forget gate and no peepholes:
 *     i_t, f_t, o_t = sigmoid, g_t = tanh of W_hc (cont_t h_{t-1}) + W_xc x_t + b_c (+ W_xc_static x_static)
 *     c_t = cont_t f_t c_{t-1} + i_t g_t
 *     h_t = o_t tanh(c_t)
 *
 * Parameters in order: W_xc, b_c, (W_xc_static,) W_hc; the 4 num_output rows of each are those of i, f, o, g.
 * The output h has shape T x N x num_output; the states, exposed with expose_hidden, are h and c.
 */
template <typename Dtype>
class LSTMLayer : public RecurrentLayer<Dtype> {
 public:
  explicit LSTMLayer(const LayerParameter& param) : RecurrentLayer<Dtype>(param) {}
  const char* type() const override { return "LSTM"; }

 protected:
  void FillUnrolledNet(NetParameter* net_param) const override;
  void RecurrentInputBlobNames(vector<string>* names) const override { *names = {"h_0", "c_0"}; }
  void RecurrentOutputBlobNames(vector<string>* names) const override { *names = {"h_T", "c_T"}; }
  void RecurrentInputShapes(vector<BlobShape>* shapes) const override;
  void OutputBlobNames(vector<string>* names) const override { *names = {"h"}; }
};

/**
 * @brief The element-wise part of one LSTM step.
 *
 * Bottoms: c_{t-1} of shape 1 x N x D, the gates' inputs of shape 1 x N x 4D (i, f, o, g), cont_t of shape
 * 1 x N. Tops: c_t and h_t.
 */
template <typename Dtype>
class LSTMUnitLayer : public Layer<Dtype> {
 public:
  explicit LSTMUnitLayer(const LayerParameter& param)
      : Layer<Dtype>(param), may_use_library_(MayUseLibraries(false)) {}
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  const char* type() const override { return "LSTMUnit"; }
  int ExactNumBottomBlobs() const override { return 3; }
  int ExactNumTopBlobs() const override { return 2; }
  /// Sequence indicators have no gradient.
  bool AllowForceBackward(const int bottom_index) const override { return bottom_index != 2; }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

  int hidden_dim_ = 0;
  /// The gates' activations.
  Blob<Dtype> X_acts_;

 private:
  const bool may_use_library_;
};

}  // namespace caffe

#endif  // CAFFE_LSTM_LAYER_HPP_
