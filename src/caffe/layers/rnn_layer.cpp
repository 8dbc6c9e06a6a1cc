#include "caffe/layers/rnn_layer.hpp"

#include "caffe/util/unrolled_net.hpp"

namespace caffe {

template <typename Dtype>
void RNNLayer<Dtype>::RecurrentInputShapes(vector<BlobShape>* shapes) const {
  shapes->assign(1, RecurrentStateShape(this->N_, this->layer_param_.recurrent_param().num_output()));
}

template <typename Dtype>
void RNNLayer<Dtype>::FillUnrolledNet(NetParameter* net_param) const {
  const RecurrentParameter& param = this->layer_param_.recurrent_param();
  const int num_output = param.num_output();
  CHECK_GT(num_output, 0) << "recurrent_param.num_output must be positive";
  vector<BlobShape> state_shape;
  RecurrentInputShapes(&state_shape);

  UnrolledNetBuilder net(param, net_param);
  net.StateInput("h_0", state_shape[0]);
  net.SliceTime("cont", "cont_", this->T_);
  net.InnerProduct("W_xh", "b_h", "x", "x_transform", 2, num_output);
  if (this->static_input_) net.StaticTransform("W_xh_static", "x_static_transform", num_output);
  net.SliceTime("x_transform", "x_", this->T_);

  vector<string> outputs;
  for (int step = 1; step <= this->T_; ++step) {
    const string t = std::to_string(step);
    const string previous = std::to_string(step - 1);
    const bool last = step == this->T_;
    net.Flush("h_" + previous, "cont_" + t, "h_conted_" + previous);
    net.InnerProduct("W_hh", "", "h_conted_" + previous, "h_transform_" + t, 2, num_output);
    vector<string> summands = {"h_transform_" + t, "x_" + t};
    if (this->static_input_) summands.push_back("x_static_transform");
    net.Sum(summands, "h_input_" + t);
    net.Add("TanH", "h_" + t, {"h_input_" + t}, {"h_" + t});
    if (last) net.Fork("h_" + t, "h_T", "h_last");
    net.InnerProduct("W_ho", "b_o", last ? "h_last" : "h_" + t, "o_input_" + t, 2, num_output);
    net.Add("TanH", "o_" + t, {"o_input_" + t}, {"o_" + t});
    outputs.push_back("o_" + t);
  }
  net.ConcatTime(outputs, "o");
}

INSTANTIATE_CLASS(RNNLayer);
REGISTER_LAYER_CLASS(RNN);

}  // namespace caffe
