#include "caffe/layers/mvn_layer.hpp"

#include "caffe/util/math_functions.hpp"
#include "caffe/util/normalize_channels.hpp"
#include "caffe/util/ones.hpp"

namespace caffe {

template <typename Dtype>
void MVNLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const MVNParameter& param = this->layer_param_.mvn_param();
  const int axes = param.across_channels() ? 1 : 2;
  CHECK_GE(bottom[0]->num_axes(), axes)
      << "the bottom needs an axis of items" << (axes == 2 ? " and one of channels" : "");
  const vector<int> shape(bottom[0]->shape().begin(), bottom[0]->shape().begin() + axes);
  mean_.Reshape(shape);
  variance_.Reshape(shape);
  if (top[0] != bottom[0]) top[0]->ReshapeLike(*bottom[0]);
  eps_ = param.eps();
  temp_.ReshapeLike(*bottom[0]);
  ReshapeOnes({bottom[0]->count(axes)}, &sum_multiplier_);
}

template <typename Dtype>
ChannelExtent MVNLayer<Dtype>::Extent(const Blob<Dtype>& bottom) const {
  const int num = mean_.count();
  return {1, num, num > 0 ? bottom.count() / num : 0};
}

template <typename Dtype>
void MVNLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const ChannelExtent extent = Extent(*bottom[0]);
  const Dtype* x = bottom[0]->cpu_data();
  Dtype* y = top[0]->mutable_cpu_data();
  Dtype* mean = mean_.mutable_cpu_data();
  Dtype* deviation = variance_.mutable_cpu_data();
  const RowStatistics<Dtype> statistics = {mean, deviation, eps_,
                                           this->layer_param_.mvn_param().normalize_variance()};
  ForChannels(extent, [=](int first, int last) {
    ChannelMoments(extent, first, last, x, mean, deviation);
    for (int c = first; c < last; ++c) statistics(c, mean[c], deviation[c]);
    NormalizeChannels(extent, first, last, x, mean, deviation, y);
  });
}

template <typename Dtype>
void MVNLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                   const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  const ChannelExtent extent = Extent(*bottom[0]);
  const Dtype* dy = top[0]->cpu_diff();
  Dtype* dx = bottom[0]->mutable_cpu_diff();
  if (this->layer_param_.mvn_param().normalize_variance()) {
    NormalizedGradient(extent, top[0]->cpu_data(), variance_.cpu_data(), dy, dx);
  } else {
    CenteredGradient(extent, dy, dx);
  }
}

#ifdef CPU_ONLY
STUB_GPU(MVNLayer);
#endif

INSTANTIATE_CLASS(MVNLayer);
REGISTER_LAYER_CLASS(MVN);

}  // namespace caffe
