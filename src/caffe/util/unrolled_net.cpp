#include "caffe/util/unrolled_net.hpp"

namespace caffe {

BlobShape RecurrentStateShape(int items, int num_output) {
  BlobShape shape;
  for (const int size : {1, items, num_output}) shape.add_dim(size);
  return shape;
}

LayerParameter* UnrolledNetBuilder::Add(const std::string& type, const std::string& name,
                                        const std::vector<std::string>& bottoms,
                                        const std::vector<std::string>& tops) {
  LayerParameter* layer = net_param_->add_layer();
  layer->set_type(type);
  layer->set_name(name);
  for (const std::string& bottom : bottoms) layer->add_bottom(bottom);
  for (const std::string& top : tops) layer->add_top(top);
  return layer;
}

void UnrolledNetBuilder::InnerProduct(const std::string& weight, const std::string& bias,
                                      const std::string& bottom, const std::string& top, int axis,
                                      int num_output) {
  LayerParameter* layer = Add("InnerProduct", top, {bottom}, {top});
  layer->add_param()->set_name(weight);
  InnerProductParameter* ip = layer->mutable_inner_product_param();
  ip->set_num_output(num_output);
  ip->set_axis(axis);
  *ip->mutable_weight_filler() = param_.weight_filler();
  ip->set_bias_term(!bias.empty());
  if (bias.empty()) return;
  layer->add_param()->set_name(bias);
  *ip->mutable_bias_filler() = param_.bias_filler();
}

void UnrolledNetBuilder::SliceTime(const std::string& bottom, const std::string& prefix, int steps) {
  LayerParameter* layer = Add("Slice", bottom + "_slice", {bottom}, {});
  layer->mutable_slice_param()->set_axis(0);
  for (int t = 1; t <= steps; ++t) layer->add_top(prefix + std::to_string(t));
}

void UnrolledNetBuilder::StateInput(const std::string& name, const BlobShape& shape) {
  *Add("Input", name, {}, {name})->mutable_input_param()->add_shape() = shape;
}

void UnrolledNetBuilder::Flush(const std::string& state, const std::string& cont, const std::string& top) {
  Add("Scale", top, {state, cont}, {top})->mutable_scale_param()->set_axis(0);
}

void UnrolledNetBuilder::Sum(const std::vector<std::string>& bottoms, const std::string& top) {
  Add("Eltwise", top, bottoms, {top})->mutable_eltwise_param()->set_operation(EltwiseParameter::SUM);
}

void UnrolledNetBuilder::StaticTransform(const std::string& weight, const std::string& top, int num_output) {
  InnerProduct(weight, "", "x_static", top + "_flat", 1, num_output);
  BlobShape* shape = Add("Reshape", top, {top + "_flat"}, {top})->mutable_reshape_param()->mutable_shape();
  shape->add_dim(1);
  shape->add_dim(-1);
  shape->add_dim(num_output);
}

void UnrolledNetBuilder::Fork(const std::string& state, const std::string& first, const std::string& second) {
  Add("Split", state + "_fork", {state}, {first, second});
}

void UnrolledNetBuilder::ConcatTime(const std::vector<std::string>& bottoms, const std::string& top) {
  Add("Concat", top, bottoms, {top})->mutable_concat_param()->set_axis(0);
}

}  // namespace caffe
