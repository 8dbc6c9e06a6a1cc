#include "caffe/layers/prelu_layer.hpp"

#include "caffe/filler.hpp"
#include "caffe/util/channel_loops.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/neuron_functions.hpp"
#include "caffe/util/ones.hpp"

namespace caffe {

template <typename Dtype>
void PReLULayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>&) {
  CHECK_GE(bottom[0]->num_axes(), 2) << "the bottom must have a channel axis (axis 1)";
  const PReLUParameter& param = this->layer_param_.prelu_param();
  channel_shared_ = param.channel_shared();
  const int channels = bottom[0]->shape(1);
  if (this->blobs_.empty()) {
    this->blobs_.push_back(
        std::make_shared<Blob<Dtype>>(channel_shared_ ? vector<int>() : vector<int>{channels}));
    FillerParameter quarter;
    quarter.set_value(0.25);
    FillBlob(param.has_filler() ? param.filler() : quarter, this->blobs_[0].get());
  }
  CHECK_EQ(this->blobs_[0]->count(), channel_shared_ ? 1 : channels)
      << "there must be one slope for each channel, or one with channel_shared";
  this->param_propagate_down_.resize(this->blobs_.size(), true);
}

template <typename Dtype>
void PReLULayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  CHECK_GE(bottom[0]->num_axes(), 2) << "the bottom must have a channel axis (axis 1)";
  NeuronLayer<Dtype>::Reshape(bottom, top);
  if (bottom[0] == top[0]) bottom_memory_.ReshapeLike(*bottom[0]);
  ReshapeOnes({bottom[0]->count(1)}, &multiplier_);
  backward_buff_.Reshape({bottom[0]->count(1)});
}

template <typename Dtype>
ChannelExtent PReLULayer<Dtype>::SlopeExtent(const Blob<Dtype>& blob) const {
  if (channel_shared_) return {1, 1, blob.count()};
  return {blob.shape(0), blob.shape(1), blob.count(2)};
}

template <typename Dtype>
void PReLULayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const Dtype* x = bottom[0]->cpu_data();
  if (bottom[0] == top[0]) caffe_copy(bottom[0]->count(), x, bottom_memory_.mutable_cpu_data());
  const Dtype* slope = this->blobs_[0]->cpu_data();
  Dtype* y = top[0]->mutable_cpu_data();
  const ChannelExtent extent = SlopeExtent(*bottom[0]);
  ForChannels(extent, [=](int first, int last) {
    MapChannels(
        extent, first, last,
        [=](int c) { return [x, f = ReluFunction<Dtype>{slope[c]}](int64_t i) { return f.Forward(x[i]); }; },
        y);
  });
}

template <typename Dtype>
void PReLULayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                     const vector<Blob<Dtype>*>& bottom) {
  const Dtype* x = (bottom[0] == top[0] ? bottom_memory_ : *bottom[0]).cpu_data();
  const Dtype* dy = top[0]->cpu_diff();
  const ChannelExtent extent = SlopeExtent(*bottom[0]);
  const Dtype* slope = this->blobs_[0]->cpu_data();
  Dtype* slope_diff = this->param_propagate_down_[0] ? this->blobs_[0]->mutable_cpu_diff() : nullptr;
  Dtype* dx = propagate_down[0] ? bottom[0]->mutable_cpu_diff() : nullptr;
  ForChannels(extent, [=](int first, int last) {
    if (slope_diff) {
      AddChannelSums(
          extent, first, last,
          [x, dy](int) { return [x, dy](int64_t i) { return SlopeGradient<Dtype>::Of(x[i], dy[i]); }; },
          slope_diff);
    }
    // Last: in place, dx is dy.
    for (int n = 0; dx && n < extent.outer; ++n) {
      for (int c = first; c < last; ++c) {
        const int64_t start = (static_cast<int64_t>(n) * extent.channels + c) * extent.inner;
        elementwise::BackwardLoop(start, start + extent.inner, ReluFunction<Dtype>{slope[c]}, x, x, dy, dx);
      }
    }
  });
}

#ifdef CPU_ONLY
STUB_GPU(PReLULayer);
#endif

INSTANTIATE_CLASS(PReLULayer);
REGISTER_LAYER_CLASS(PReLU);

}  // namespace caffe
