#include "caffe/layers/lstm_layer.hpp"

#include "caffe/util/unrolled_net.hpp"

namespace caffe {

template <typename Dtype>
void LSTMLayer<Dtype>::RecurrentInputShapes(vector<BlobShape>* shapes) const {
  shapes->assign(2, RecurrentStateShape(this->N_, this->layer_param_.recurrent_param().num_output()));
}

template <typename Dtype>
void LSTMLayer<Dtype>::FillUnrolledNet(NetParameter* net_param) const {
  const RecurrentParameter& param = this->layer_param_.recurrent_param();
  const int num_output = param.num_output();
  CHECK_GT(num_output, 0) << "recurrent_param.num_output must be positive";
  vector<BlobShape> state_shapes;
  RecurrentInputShapes(&state_shapes);

  UnrolledNetBuilder net(param, net_param);
  net.StateInput("h_0", state_shapes[0]);
  net.StateInput("c_0", state_shapes[1]);
  net.SliceTime("cont", "cont_", this->T_);
  net.InnerProduct("W_xc", "b_c", "x", "x_transform", 2, 4 * num_output);
  if (this->static_input_) net.StaticTransform("W_xc_static", "x_static_transform", 4 * num_output);
  net.SliceTime("x_transform", "x_", this->T_);

  vector<string> outputs;
  for (int step = 1; step <= this->T_; ++step) {
    const string t = std::to_string(step);
    const string previous = std::to_string(step - 1);
    const bool last = step == this->T_;
    net.Flush("h_" + previous, "cont_" + t, "h_conted_" + previous);
    net.InnerProduct("W_hc", "", "h_conted_" + previous, "h_transform_" + t, 2, 4 * num_output);
    vector<string> summands = {"h_transform_" + t, "x_" + t};
    if (this->static_input_) summands.push_back("x_static_transform");
    net.Sum(summands, "gate_input_" + t);
    net.Add("LSTMUnit", "unit_" + t, {"c_" + previous, "gate_input_" + t, "cont_" + t},
            {last ? "c_T" : "c_" + t, "h_" + t});
    if (last) net.Fork("h_" + t, "h_T", "h_last");
    outputs.push_back(last ? "h_last" : "h_" + t);
  }
  net.ConcatTime(outputs, "h");
}

INSTANTIATE_CLASS(LSTMLayer);
REGISTER_LAYER_CLASS(LSTM);

}  // namespace caffe
