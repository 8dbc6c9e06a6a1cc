#include "caffe/layers/pooling_layer.hpp"

#include "caffe/util/gpu_launch.cuh"
#include "caffe/util/int_divisor.hpp"
#include "caffe/util/math_functions.hpp"

namespace caffe {

namespace {

// Calls body(channel's offset in the bottom, output, window).
template <typename Body>
struct WindowOfOutput {
  PoolGeometry geometry;
  IntDivisor pooled_height, pooled_width;
  Body body;

  __device__ void operator()(int output) const {
    int channel = output;
    const int w = pooled_width.Split(&channel);
    const int h = pooled_height.Split(&channel);
    body(channel * geometry.height * geometry.width, output, geometry.window(h, w));
  }
};

template <typename Body>
void ForEachWindow(const PoolGeometry& geometry, int channels, const Body& body) {
  GpuForEach(static_cast<int64_t>(channels) * geometry.pooled_height * geometry.pooled_width,
             WindowOfOutput<Body>{geometry, IntDivisor(geometry.pooled_height),
                                  IntDivisor(geometry.pooled_width), body});
}

// An element's gradient: the sum of part(channel's offset in the bottom, output, window, place) over the
// windows that see it. So no two threads add to the same place, and sums do not depend on which comes first.
template <typename Dtype, typename Part>
struct GradientOfElement {
  PoolGeometry geometry;
  IntDivisor height, width;
  PoolCover rows, columns;
  Part part;
  Dtype* bottom_diff;

  __device__ void operator()(int i) const {
    int channel = i;
    const int w = width.Split(&channel);
    const int h = height.Split(&channel);
    const int place = h * geometry.width + w;
    const PoolRange pooled_rows = rows(h), pooled_columns = columns(w);
    Dtype sum = 0;
    for (int pooled_h = pooled_rows.begin; pooled_h < pooled_rows.end; ++pooled_h) {
      const int first = (channel * geometry.pooled_height + pooled_h) * geometry.pooled_width;
      for (int pooled_w = pooled_columns.begin; pooled_w < pooled_columns.end; ++pooled_w) {
        sum += part(i - place, first + pooled_w, geometry.window(pooled_h, pooled_w), place);
      }
    }
    bottom_diff[i] = sum;
  }
};

template <typename Dtype, typename Part>
void GatherGradients(const PoolGeometry& geometry, int channels, const Part& part, Dtype* bottom_diff) {
  const PoolCover rows = {IntDivisor(geometry.stride_h), geometry.kernel_h, geometry.pad_h,
                          geometry.pooled_height};
  const PoolCover columns = {IntDivisor(geometry.stride_w), geometry.kernel_w, geometry.pad_w,
                             geometry.pooled_width};
  GpuForEach(static_cast<int64_t>(channels) * geometry.height * geometry.width,
             GradientOfElement<Dtype, Part>{geometry, IntDivisor(geometry.height), IntDivisor(geometry.width),
                                            rows, columns, part, bottom_diff});
}

template <typename Dtype, typename Place>
void ForwardMax(const PoolGeometry& geometry, int channels, const Dtype* bottom_data, Dtype* top_data,
                Place* places) {
  ForEachWindow(geometry, channels, [=] __device__(int channel, int output, const PoolWindow& window) {
    const PoolMax<Dtype> max = MaxOfWindow(bottom_data + channel, window);
    top_data[output] = max.largest;
    places[output] = static_cast<Place>(max.place);
  });
}

template <typename Dtype>
void ForwardAverage(const PoolGeometry& geometry, int channels, const Dtype* bottom_data, Dtype* top_data) {
  ForEachWindow(geometry, channels, [=] __device__(int channel, int output, const PoolWindow& window) {
    top_data[output] = PoolSums<Dtype>(bottom_data + channel, window).average(window);
  });
}

// `places` has a number uniform on [0, 1] for each output, which its place takes the place of.
template <typename Dtype>
void ForwardDraw(const PoolGeometry& geometry, int channels, const Dtype* bottom_data, Dtype* top_data,
                 Dtype* places) {
  ForEachWindow(geometry, channels, [=] __device__(int channel, int output, const PoolWindow& window) {
    const int place = pool_draw(bottom_data + channel, window, places[output]);
    top_data[output] = place < 0 ? Dtype(0) : bottom_data[channel + place];
    places[output] = static_cast<Dtype>(place);
  });
}

template <typename Dtype>
void ForwardExpected(const PoolGeometry& geometry, int channels, const Dtype* bottom_data, Dtype* top_data) {
  ForEachWindow(geometry, channels, [=] __device__(int channel, int output, const PoolWindow& window) {
    top_data[output] = PoolSums<Dtype>(bottom_data + channel, window).expected();
  });
}

// Hands each output's gradient to the element that it came from.
template <typename Dtype, typename Place>
void BackwardToPlaces(const PoolGeometry& geometry, int channels, const Dtype* top_diff, const Place* places,
                      Dtype* bottom_diff) {
  GatherGradients(
      geometry, channels,
      [=] __device__(int, int output, const PoolWindow&, int place) {
        return static_cast<int>(places[output]) == place ? top_diff[output] : Dtype(0);
      },
      bottom_diff);
}

template <typename Dtype>
void BackwardAverage(const PoolGeometry& geometry, int channels, const Dtype* top_diff, Dtype* bottom_diff) {
  GatherGradients(
      geometry, channels,
      [=] __device__(int, int output, const PoolWindow& window, int) {
        return window.share(top_diff[output]);
      },
      bottom_diff);
}

template <typename Dtype>
void BackwardExpected(const PoolGeometry& geometry, int channels, const Dtype* bottom_data,
                      const Dtype* top_diff, Dtype* bottom_diff) {
  GatherGradients(
      geometry, channels,
      [=] __device__(int channel, int output, const PoolWindow& window, int place) {
        const PoolSums<Dtype> sums(bottom_data + channel, window);
        return top_diff[output] * sums.expected_gradient(bottom_data[channel + place]);
      },
      bottom_diff);
}

}  // namespace

template <typename Dtype>
void PoolingLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const PoolGeometry geometry = Geometry();
  const int channels = bottom[0]->count(0, 2);
  const Dtype* bottom_data = bottom[0]->gpu_data();
  Dtype* top_data = top[0]->mutable_gpu_data();
  switch (this->layer_param_.pooling_param().pool()) {
    case PoolingParameter_PoolMethod_MAX:
      if (top.size() > 1) {
        ForwardMax(geometry, channels, bottom_data, top_data, top[1]->mutable_gpu_data());
      } else {
        small_places_.clear();
        ForwardMax(geometry, channels, bottom_data, top_data, max_idx_.mutable_gpu_data());
      }
      break;
    case PoolingParameter_PoolMethod_AVE:
      ForwardAverage(geometry, channels, bottom_data, top_data);
      break;
    case PoolingParameter_PoolMethod_STOCHASTIC:
      if (this->phase_ == TRAIN) {
        Dtype* places = rand_idx_.mutable_gpu_data();
        caffe_gpu_rng_uniform(rand_idx_.count(), Dtype(0), Dtype(1), places);
        ForwardDraw(geometry, channels, bottom_data, top_data, places);
      } else {
        ForwardExpected(geometry, channels, bottom_data, top_data);
      }
      break;
  }
}

template <typename Dtype>
void PoolingLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                       const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  const PoolGeometry geometry = Geometry();
  const int channels = bottom[0]->count(0, 2);
  const Dtype* top_diff = top[0]->gpu_diff();
  Dtype* bottom_diff = bottom[0]->mutable_gpu_diff();
  switch (this->layer_param_.pooling_param().pool()) {
    case PoolingParameter_PoolMethod_MAX:
      if (top.size() > 1) {
        BackwardToPlaces(geometry, channels, top_diff, top[1]->gpu_data(), bottom_diff);
      } else {
        BackwardToPlaces(geometry, channels, top_diff, MaxPlaces().gpu_data(), bottom_diff);
      }
      break;
    case PoolingParameter_PoolMethod_AVE:
      BackwardAverage(geometry, channels, top_diff, bottom_diff);
      break;
    case PoolingParameter_PoolMethod_STOCHASTIC:
      if (this->phase_ == TRAIN) {
        BackwardToPlaces(geometry, channels, top_diff, rand_idx_.gpu_data(), bottom_diff);
      } else {
        BackwardExpected(geometry, channels, bottom[0]->gpu_data(), top_diff, bottom_diff);
      }
      break;
  }
}

INSTANTIATE_LAYER_GPU_FUNCS(PoolingLayer);

}  // namespace caffe
