#include "caffe/layers/prelu_layer.hpp"

#include "caffe/filler.hpp"
#include "caffe/util/channel_loops.hpp"
#include "caffe/util/math_functions.hpp"

namespace caffe {

namespace {

// With one slope for all, the whole blob is one channel.
template <typename Dtype>
ChannelExtent ExtentOf(const Blob<Dtype>& blob, bool channel_shared) {
  if (channel_shared) return {1, 1, blob.count()};
  return {blob.shape(0), blob.shape(1), blob.count(2)};
}

}  // namespace

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
}

template <typename Dtype>
void PReLULayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const Dtype* x = bottom[0]->cpu_data();
  if (bottom[0] == top[0]) caffe_copy(bottom[0]->count(), x, bottom_memory_.mutable_cpu_data());
  const Dtype* slope = this->blobs_[0]->cpu_data();
  Dtype* y = top[0]->mutable_cpu_data();
  const ChannelExtent extent = ExtentOf(*bottom[0], channel_shared_);
  ForChannels(extent, [=](int first, int last) {
    MapChannels(
        extent, first, last, [x, slope](int64_t i, int c) { return x[i] > 0 ? x[i] : slope[c] * x[i]; }, y);
  });
}

template <typename Dtype>
void PReLULayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                     const vector<Blob<Dtype>*>& bottom) {
  const Dtype* x = (bottom[0] == top[0] ? bottom_memory_ : *bottom[0]).cpu_data();
  const Dtype* dy = top[0]->cpu_diff();
  const ChannelExtent extent = ExtentOf(*bottom[0], channel_shared_);
  // Before the bottom's gradient, which in place overwrites the top's.
  if (this->param_propagate_down_[0]) {
    Dtype* slope_diff = this->blobs_[0]->mutable_cpu_diff();
    ForChannels(extent, [=](int first, int last) {
      AddChannelSums(
          extent, first, last, [x, dy](int64_t i, int) { return x[i] > 0 ? Dtype(0) : dy[i] * x[i]; },
          slope_diff);
    });
  }
  if (!propagate_down[0]) return;
  const Dtype* slope = this->blobs_[0]->cpu_data();
  Dtype* dx = bottom[0]->mutable_cpu_diff();
  ForChannels(extent, [=](int first, int last) {
    MapChannels(
        extent, first, last, [=](int64_t i, int c) { return x[i] > 0 ? dy[i] : slope[c] * dy[i]; }, dx);
  });
}

#ifdef CPU_ONLY
STUB_GPU(PReLULayer);
#endif

INSTANTIATE_CLASS(PReLULayer);
REGISTER_LAYER_CLASS(PReLU);

}  // namespace caffe
