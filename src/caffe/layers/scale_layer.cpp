#include "caffe/layers/scale_layer.hpp"

#include <algorithm>
#include <typeinfo>

#include "caffe/filler.hpp"
#include "caffe/layer_factory.hpp"
#include "caffe/util/broadcast_axes.hpp"
#include "caffe/util/channel_functions.hpp"
#include "caffe/util/inner_layer.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/ones.hpp"

namespace caffe {

template <typename Dtype>
void ScaleLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const ScaleParameter& param = this->layer_param_.scale_param();
  const bool has_parameter = bottom.size() == 1;
  bias_param_id_ = param.bias_term() ? (has_parameter ? 1 : 0) : -1;
  const size_t num_blobs = has_parameter + param.bias_term();
  const bool saved = !this->blobs_.empty();
  if (saved) {
    CHECK_EQ(this->blobs_.size(), num_blobs) << "the saved layer holds another number of parameters";
  } else if (has_parameter) {
    this->blobs_.push_back(
        std::make_shared<Blob<Dtype>>(CoveredShape(*bottom[0], param.axis(), param.num_axes())));
    FillerParameter one;
    one.set_value(1);
    FillBlob(param.has_filler() ? param.filler() : one, this->blobs_[0].get());
  }
  if (param.bias_term()) {
    const Blob<Dtype>& scale = has_parameter ? *this->blobs_[0] : *bottom[1];
    LayerParameter bias = InnerLayer(this->layer_param_, "Bias", "bias");
    bias.mutable_bias_param()->set_axis(scale.num_axes() == 0 ? 0 : param.axis());
    bias.mutable_bias_param()->set_num_axes(scale.num_axes());
    *bias.mutable_bias_param()->mutable_filler() = param.bias_filler();
    bias_layer_ = LayerRegistry<Dtype>::CreateLayer(bias);
    bias_bottom_vec_ = {bottom[0]};
    bias_propagate_down_ = {false};
    if (saved) bias_layer_->blobs() = {this->blobs_[bias_param_id_]};
    bias_layer_->SetUp(bias_bottom_vec_, top);
    if (!saved) this->blobs_.push_back(bias_layer_->blobs()[0]);
  }
  this->param_propagate_down_.resize(this->blobs_.size(), true);
}

template <typename Dtype>
void ScaleLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const Blob<Dtype>& scale = bottom.size() > 1 ? *bottom[1] : *this->blobs_[0];
  axis_ = scale.num_axes() == 0 ? 0 : bottom[0]->CanonicalAxisIndex(this->layer_param_.scale_param().axis());
  const ChannelExtent extent = BroadcastExtent(*bottom[0], scale, axis_);
  outer_dim_ = extent.outer;
  scale_dim_ = extent.channels;
  inner_dim_ = extent.inner;
  is_in_place_ = top[0] == bottom[0];
  if (is_in_place_) {
    temp_.ReshapeLike(*bottom[0]);
  } else {
    top[0]->ReshapeLike(*bottom[0]);
  }
  if (bias_layer_) {
    bias_bottom_vec_[0] = top[0];
    bias_layer_->Reshape(bias_bottom_vec_, top);
  }
  ReshapeOnes({std::max(outer_dim_, inner_dim_)}, &sum_multiplier_);
  sum_result_.Reshape({outer_dim_ * scale_dim_});
}

template <typename Dtype>
void ScaleLayer<Dtype>::JoinMaker(Layer<Dtype>* maker) {
  if (batch_norm_) batch_norm_->SetJoined(false);
  batch_norm_ = nullptr;
  if (!maker || Caffe::mode() != Caffe::GPU || typeid(*this) != typeid(ScaleLayer<Dtype>)) return;
  const bool is_by_channels =
      this->layer_param_.bottom_size() == 1 && axis_ == 1 && this->blobs_[0]->num_axes() == 1 && is_in_place_;
  if (is_by_channels) batch_norm_ = BatchNormLayer<Dtype>::Join(maker);
}

template <typename Dtype>
void ScaleLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const ChannelExtent extent = {outer_dim_, scale_dim_, inner_dim_};
  const Dtype* x = bottom[0]->cpu_data();
  Dtype* const kept = bottom[0] == top[0] && !KeptBottom() ? temp_.mutable_cpu_data() : nullptr;
  const Dtype* scale = (bottom.size() > 1 ? bottom[1] : this->blobs_[0].get())->cpu_data();
  Dtype* y = top[0]->mutable_cpu_data();
  const Dtype* bias = bias_param_id_ >= 0 ? this->blobs_[bias_param_id_]->cpu_data() : nullptr;
  ForChannels(extent, [=](int first, int last) {
    if (kept) MapChannels(extent, first, last, ChannelValues<Dtype>{x}, kept);
    if (bias) {
      MapChannels(extent, first, last, ScaledAndShiftedChannels<Dtype>{x, scale, bias}, y);
    } else {
      MapChannels(extent, first, last, ScaledChannels<Dtype>{x, scale}, y);
    }
  });
}

template <typename Dtype>
void ScaleLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                     const vector<Blob<Dtype>*>& bottom) {
  const ChannelExtent extent = {outer_dim_, scale_dim_, inner_dim_};
  const bool has_parameter = bottom.size() == 1;
  const Dtype* dy = top[0]->cpu_diff();
  const Blob<Dtype>* kept = KeptBottom();
  const Dtype* x = (kept ? *kept : bottom[0] == top[0] ? temp_ : *bottom[0]).cpu_data();
  Blob<Dtype>* factor = has_parameter ? this->blobs_[0].get() : bottom[1];
  const Dtype* scale = factor->cpu_data();
  Dtype* scale_diff = nullptr;
  if (has_parameter ? this->param_propagate_down_[0] : propagate_down[1]) {
    scale_diff = factor->mutable_cpu_diff();
    // The gradient of a parameter adds up over passes, that of a bottom does not.
    if (!has_parameter) caffe_set(scale_dim_, Dtype(0), scale_diff);
  }
  Dtype* bias_diff = nullptr;
  if (bias_param_id_ >= 0 && this->param_propagate_down_[bias_param_id_]) {
    bias_diff = this->blobs_[bias_param_id_]->mutable_cpu_diff();
  }
  Dtype* dx = propagate_down[0] ? bottom[0]->mutable_cpu_diff() : nullptr;
  ForChannels(extent, [=](int first, int last) {
    if (bias_diff) AddChannelSums(extent, first, last, ChannelValues<Dtype>{dy}, bias_diff);
    if (scale_diff) AddChannelSums(extent, first, last, ChannelProducts<Dtype>{dy, x}, scale_diff);
    // Last: in place, dx is dy.
    if (dx) MapChannels(extent, first, last, ScaledChannels<Dtype>{dy, scale}, dx);
  });
}

#ifdef CPU_ONLY
STUB_GPU(ScaleLayer);
#endif

INSTANTIATE_CLASS(ScaleLayer);
REGISTER_LAYER_CLASS(Scale);

}  // namespace caffe
