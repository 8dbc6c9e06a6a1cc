#include "caffe/layers/bias_layer.hpp"

#include "caffe/filler.hpp"
#include "caffe/util/broadcast_axes.hpp"
#include "caffe/util/channel_functions.hpp"
#include "caffe/util/math_functions.hpp"

namespace caffe {

template <typename Dtype>
void BiasLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>&) {
  if (bottom.size() == 1 && this->blobs_.empty()) {
    const BiasParameter& param = this->layer_param_.bias_param();
    this->blobs_.push_back(
        std::make_shared<Blob<Dtype>>(CoveredShape(*bottom[0], param.axis(), param.num_axes())));
    FillBlob(param.filler(), this->blobs_[0].get());
  }
  this->param_propagate_down_.resize(this->blobs_.size(), true);
}

template <typename Dtype>
void BiasLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const Blob<Dtype>& bias = bottom.size() > 1 ? *bottom[1] : *this->blobs_[0];
  const ChannelExtent extent = BroadcastExtent(*bottom[0], bias, this->layer_param_.bias_param().axis());
  outer_dim_ = extent.outer;
  bias_dim_ = extent.channels;
  inner_dim_ = extent.inner;
  if (top[0] != bottom[0]) top[0]->ReshapeLike(*bottom[0]);
}

template <typename Dtype>
void BiasLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const ChannelExtent extent = {outer_dim_, bias_dim_, inner_dim_};
  const Dtype* bias = (bottom.size() > 1 ? bottom[1] : this->blobs_[0].get())->cpu_data();
  const Dtype* x = bottom[0]->cpu_data();
  Dtype* y = top[0]->mutable_cpu_data();
  ForChannels(extent, [=](int first, int last) {
    MapChannels(extent, first, last, ShiftedChannels<Dtype>{x, bias}, y);
  });
}

template <typename Dtype>
void BiasLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                    const vector<Blob<Dtype>*>& bottom) {
  const Dtype* dy = top[0]->cpu_diff();
  const bool has_parameter = bottom.size() == 1;
  if (propagate_down[0] && bottom[0] != top[0]) {
    caffe_copy(bottom[0]->count(), dy, bottom[0]->mutable_cpu_diff());
  }
  if (!(has_parameter ? this->param_propagate_down_[0] : propagate_down[1])) return;
  const ChannelExtent extent = {outer_dim_, bias_dim_, inner_dim_};
  Dtype* bias_diff = (has_parameter ? this->blobs_[0].get() : bottom[1])->mutable_cpu_diff();
  // The gradient of a parameter adds up over passes, that of a bottom does not.
  if (!has_parameter) caffe_set(bias_dim_, Dtype(0), bias_diff);
  ForChannels(extent, [=](int first, int last) {
    AddChannelSums(extent, first, last, ChannelValues<Dtype>{dy}, bias_diff);
  });
}

#ifdef CPU_ONLY
STUB_GPU(BiasLayer);
#endif

INSTANTIATE_CLASS(BiasLayer);
REGISTER_LAYER_CLASS(Bias);

}  // namespace caffe
