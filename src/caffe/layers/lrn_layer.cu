#include "caffe/layers/lrn_layer.hpp"

#include "caffe/util/gpu_launch.cuh"
#include "caffe/util/int_divisor.hpp"

namespace caffe {

namespace {

// Images as channels of `plane` elements each.
struct Channels {
  IntDivisor plane, channels;
  int plane_size, num_channels;

  Channels(int channels, int plane)
      : plane(plane), channels(channels), plane_size(plane), num_channels(channels) {}
  CAFFE_HOST_DEVICE int Of(int i) const {
    int channel = plane.Quotient(i);
    return channels.Split(&channel);
  }
};

template <typename Dtype>
void Normalize(int64_t count, const Channels& images, const LrnWindow& window,
               const LrnFunction<Dtype>& function, const Dtype* x, Dtype* scale, Dtype* y) {
  GpuForEach(count, [=] __device__(int i) {
    const int c = images.Of(i);
    Dtype sum = function.k;
    for (int j = window.begin(c); j < window.end(c, images.num_channels); ++j) {
      sum += function.Term(x[i + (j - c) * images.plane_size]);
    }
    scale[i] = sum;
    y[i] = x[i] * function.Factor(sum);
  });
}

template <typename Dtype>
void NormalizeBackward(int64_t count, const Channels& images, const LrnWindow& window,
                       const LrnFunction<Dtype>& function, const Dtype* x, const Dtype* scale, const Dtype* y,
                       const Dtype* dy, Dtype* dx) {
  GpuForEach(count, [=] __device__(int i) {
    const int c = images.Of(i);
    Dtype sum = 0;
    for (int j = window.users_begin(c); j < window.users_end(c, images.num_channels); ++j) {
      const int at = i + (j - c) * images.plane_size;
      sum += function.GradientTerm(dy[at], y[at], scale[at]);
    }
    dx[i] = function.Gradient(dy[i], function.Factor(scale[i]), x[i], sum);
  });
}

}  // namespace

template <typename Dtype>
void LRNLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  if (this->layer_param_.lrn_param().norm_region() == LRNParameter_NormRegion_ACROSS_CHANNELS) {
    CrossChannelForward_gpu(bottom, top);
  } else {
    WithinChannelForward(bottom, top);
  }
}

template <typename Dtype>
void LRNLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                   const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  if (this->layer_param_.lrn_param().norm_region() == LRNParameter_NormRegion_ACROSS_CHANNELS) {
    CrossChannelBackward_gpu(top, propagate_down, bottom);
  } else {
    WithinChannelBackward(top, propagate_down, bottom);
  }
}

template <typename Dtype>
void LRNLayer<Dtype>::CrossChannelForward_gpu(const vector<Blob<Dtype>*>& bottom,
                                              const vector<Blob<Dtype>*>& top) {
  if (bottom[0]->count() == 0) return;
  Normalize(bottom[0]->count(), Channels(channels_, height_ * width_), LrnWindow{size_, pre_pad_}, Function(),
            bottom[0]->gpu_data(), scale_.mutable_gpu_data(), top[0]->mutable_gpu_data());
}

template <typename Dtype>
void LRNLayer<Dtype>::CrossChannelBackward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>&,
                                               const vector<Blob<Dtype>*>& bottom) {
  if (bottom[0]->count() == 0) return;
  NormalizeBackward(bottom[0]->count(), Channels(channels_, height_ * width_), LrnWindow{size_, pre_pad_},
                    Function(), bottom[0]->gpu_data(), scale_.gpu_data(), top[0]->gpu_data(),
                    top[0]->gpu_diff(), bottom[0]->mutable_gpu_diff());
}

INSTANTIATE_LAYER_GPU_FUNCS(LRNLayer);

#define INSTANTIATE_CROSS_CHANNEL(Dtype)                                                                    \
  template void LRNLayer<Dtype>::CrossChannelForward_gpu(const vector<Blob<Dtype>*>&,                       \
                                                         const vector<Blob<Dtype>*>&);                      \
  template void LRNLayer<Dtype>::CrossChannelBackward_gpu(const vector<Blob<Dtype>*>&, const vector<bool>&, \
                                                          const vector<Blob<Dtype>*>&)
INSTANTIATE_CROSS_CHANNEL(float);
INSTANTIATE_CROSS_CHANNEL(double);
#undef INSTANTIATE_CROSS_CHANNEL

}  // namespace caffe
