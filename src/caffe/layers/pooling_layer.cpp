#include "caffe/layers/pooling_layer.hpp"

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "caffe/util/average_pooling.hpp"
#include "caffe/util/conv_geometry.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/parallel_for.hpp"
#include "caffe/util/target_clones.hpp"

namespace caffe {

namespace {

// Calls body(channel of all images) for each of them, on several threads.
template <typename Body>
void ForEachChannel(const PoolGeometry& geometry, int channels, Body body) {
  const int64_t dim = static_cast<int64_t>(geometry.height) * geometry.width;
  ParallelFor(channels, kElementGrain / std::max<int64_t>(dim, 1) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t channel = begin; channel < end; ++channel) body(channel);
  });
}

// Calls body(channel's offset in the bottom, output, window) for each output of each channel.
template <typename Dtype, typename Body>
void ForEachWindow(const PoolGeometry& geometry, const Blob<Dtype>& bottom, Body body) {
  ForEachChannel(geometry, bottom.count(0, 2), [&](int64_t channel) {
    const int64_t offset = channel * geometry.height * geometry.width;
    int64_t output = channel * geometry.pooled_height * geometry.pooled_width;
    for (int h = 0; h < geometry.pooled_height; ++h) {
      for (int w = 0; w < geometry.pooled_width; ++w) body(offset, output++, geometry.window(h, w));
    }
  });
}

// The columns' largest values in the rows that a row of outputs sees, and their places.
template <typename Dtype>
struct Columns {
  Dtype* largest;
  int* places;

  inline __attribute__((always_inline)) void StartAt(const Dtype* row, int at, int width) const {
    for (int w = 0; w < width; ++w) {
      largest[w] = row[w];
      places[w] = at + w;
    }
  }

  inline __attribute__((always_inline)) void Take(const Dtype* row, int at, int width) const {
#pragma GCC ivdep
    for (int w = 0; w < width; ++w) {
      PoolMax<Dtype> max = {largest[w], places[w]};
      max.Take(row[w], at + w);
      largest[w] = max.largest;
      places[w] = max.place;
    }
  }
};

// All outputs of a channel. A row's values lie side by side, those of a window do not: so each column takes
// its largest value first, and then each window that of its columns. A constant stride makes faster code.
template <typename Dtype, int kStride>
CAFFE_TARGET_CLONES void MaxOfChannel(const PoolGeometry& geometry, const Dtype* channel,
                                      const Columns<Dtype>& columns, Dtype* largest, int* places) {
  const int stride = kStride > 0 ? kStride : geometry.stride_w, width = geometry.width;
  for (int pooled_h = 0; pooled_h < geometry.pooled_height; ++pooled_h) {
    for (int i = 0; i < geometry.pooled_width; ++i) {
      largest[i] = 0;
      places[i] = -1;
    }
    const PoolWindow rows = geometry.window(pooled_h, 0);
    if (rows.h_begin < rows.h_end) {
      columns.StartAt(channel + rows.h_begin * width, rows.h_begin * width, width);
      for (int h = rows.h_begin + 1; h < rows.h_end; ++h) columns.Take(channel + h * width, h * width, width);
      for (int tap = 0; tap < geometry.kernel_w; ++tap) {
        // Window w sees column w * stride + first.
        const int first = tap - geometry.pad_w;
        const int begin = first < 0 ? (-1 - first) / stride + 1 : 0;
        const int beyond = first < width ? (width - 1 - first) / stride + 1 : 0;
        const int end = beyond < geometry.pooled_width ? beyond : geometry.pooled_width;
#pragma GCC ivdep
        for (int i = begin; i < end; ++i) {
          PoolMax<Dtype> max = {largest[i], places[i]};
          max.TakeLargest(columns.largest[i * stride + first], columns.places[i * stride + first]);
          largest[i] = max.largest;
          places[i] = max.place;
        }
      }
    }
    largest += geometry.pooled_width;
    places += geometry.pooled_width;
  }
}

#define INSIDE inline __attribute__((always_inline))

// Values and places that are computed side by side; Split gives elements 0, 2, 4 ... of a and b, and 1, 3, 5
// ...
struct ManyLanes {
  static constexpr int kLanes = 8;
  typedef float Values __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));
  typedef int Places __attribute__((vector_size(kLanes * sizeof(int)), aligned(4), may_alias));
  static constexpr Places kPlaces = {0, 2, 4, 6, 8, 10, 12, 14};

  INSIDE static void Split(const Values& a, const Values& b, Values* even, Values* odd) {
    *even = __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
    *odd = __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
  }
};

struct FewLanes {
  static constexpr int kLanes = 4;
  typedef float Values __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));
  typedef int Places __attribute__((vector_size(kLanes * sizeof(int)), aligned(4), may_alias));
  static constexpr Places kPlaces = {0, 2, 4, 6};

  INSIDE static void Split(const Values& a, const Values& b, Values* even, Values* odd) {
    *even = __builtin_shufflevector(a, b, 0, 2, 4, 6);
    *odd = __builtin_shufflevector(a, b, 1, 3, 5, 7);
  }
};

// Windows of kKernel x kKernel inside the channel, two columns apart, as many side by side as there are
// lanes.
template <typename Lanes, int kKernel>
INSIDE void MaxOfWindows(const float* rows, int width, int at, float* largest, int* places) {
  typedef typename Lanes::Values Values;
  typedef typename Lanes::Places Places;
  const auto split = [](const float* from, Values* even, Values* odd) {
    const Values* values = reinterpret_cast<const Values*>(from);
    Lanes::Split(values[0], values[1], even, odd);
  };
  const Places first = Lanes::kPlaces + at;
  Values value = {};
  Places place = first;
  for (int h = 0; h < kKernel; ++h) {
    const float* row = rows + h * width;
    Values taken[4];
    split(row, &taken[0], &taken[1]);
    // From the second on, so that not a value beyond those of the last window is read.
    if constexpr (kKernel == 3) split(row + 1, &taken[3], &taken[2]);
    if (h == 0) value = taken[0];
    for (int w = h == 0 ? 1 : 0; w < kKernel; ++w) {
      // As PoolMax takes values, of which there is one already.
      const Places is_better = ~(taken[w] <= value) & (value == value);
      value = is_better ? taken[w] : value;
      place = is_better ? first + (h * width + w) : place;
    }
  }
  *reinterpret_cast<Values*>(largest) = value;
  *reinterpret_cast<Places*>(places) = place;
}

// At least as many windows as there are lanes; the last lanes may take some again.
template <typename Lanes, int kKernel>
CAFFE_TARGET_CLONES void MaxOfWholeWindows(const float* rows, int width, int at, int count, float* largest,
                                           int* places) {
  for (int begin = 0; begin < count; begin += Lanes::kLanes) {
    const int i = std::min(begin, count - Lanes::kLanes);
    MaxOfWindows<Lanes, kKernel>(rows + 2 * i, width, at + 2 * i, largest + i, places + i);
  }
}

// All outputs of a channel for windows of kKernel x kKernel, two rows and columns apart. Those that do not
// lie inside the channel, and those of rows that have but a few, are taken one by one.
template <int kKernel>
void MaxOfSmallWindows(const PoolGeometry& geometry, const float* channel, const Columns<float>&,
                       float* largest, int* places) {
  const auto take = [&](int h, int begin, int end) {
    for (int w = begin; w < end; ++w) {
      const PoolMax<float> max = MaxOfWindow(channel, geometry.window(h, w));
      largest[w] = max.largest;
      places[w] = max.place;
    }
  };
  const int width = geometry.width, outputs = geometry.pooled_width,
            beyond = width + geometry.pad_w - kKernel;
  const int begin = std::min((geometry.pad_w + 1) / 2, outputs);
  const int end = std::clamp(beyond < 0 ? 0 : beyond / 2 + 1, begin, outputs);
  for (int h = 0; h < geometry.pooled_height; ++h, largest += outputs, places += outputs) {
    const int first_row = 2 * h - geometry.pad_h;
    if (first_row < 0 || first_row + kKernel > geometry.height || end - begin < FewLanes::kLanes) {
      take(h, 0, outputs);
      continue;
    }
    take(h, 0, begin);
    const int at = first_row * width + 2 * begin - geometry.pad_w;
    const auto max = end - begin >= ManyLanes::kLanes ? MaxOfWholeWindows<ManyLanes, kKernel>
                                                      : MaxOfWholeWindows<FewLanes, kKernel>;
    max(channel + at, width, at, end - begin, largest + begin, places + begin);
    take(h, end, outputs);
  }
}

#undef INSIDE

template <typename Dtype>
using MaxFunction = void (*)(const PoolGeometry&, const Dtype*, const Columns<Dtype>&, Dtype*, int*);

template <typename Dtype>
MaxFunction<Dtype> MaxFunctionFor(const PoolGeometry& geometry) {
  const int kernel = geometry.kernel_w, stride = geometry.stride_w;
  if constexpr (std::is_same<Dtype, float>::value) {
    if (geometry.kernel_h == kernel && stride == 2 && geometry.stride_h == 2) {
      if (kernel == 2) return MaxOfSmallWindows<2>;
      if (kernel == 3) return MaxOfSmallWindows<3>;
    }
  }
  if (stride == 1) return MaxOfChannel<Dtype, 1>;
  return stride == 2 ? MaxOfChannel<Dtype, 2> : MaxOfChannel<Dtype, 0>;
}

// For no place, as of an empty window. Places of 16 bits are those of channels with fewer elements.
constexpr uint16_t kNoSmallPlace = 0xffff;
bool AreSmall(const PoolGeometry& geometry) {
  return static_cast<int64_t>(geometry.height) * geometry.width <= kNoSmallPlace;
}
int64_t ToPlace(uint16_t stored) { return stored == kNoSmallPlace ? -1 : stored; }
template <typename Place>
int64_t ToPlace(Place stored) {
  return static_cast<int64_t>(stored);
}

template <typename Dtype, typename Place>
void ForwardMax(const PoolGeometry& geometry, const Blob<Dtype>& bottom, Blob<Dtype>* top,
                Place* place_data) {
  const Dtype* bottom_data = bottom.cpu_data();
  Dtype* top_data = top->mutable_cpu_data();
  const auto max_of_channel = MaxFunctionFor<Dtype>(geometry);
  const int64_t outputs = static_cast<int64_t>(geometry.pooled_height) * geometry.pooled_width;
  ForEachChannel(geometry, bottom.count(0, 2), [&](int64_t channel) {
    vector<Dtype> largest(geometry.width);
    vector<int> column_places(geometry.width);
    const auto run = [&](int* channel_places) {
      max_of_channel(geometry, bottom_data + channel * geometry.height * geometry.width,
                     {largest.data(), column_places.data()}, top_data + channel * outputs, channel_places);
    };
    if constexpr (std::is_same<Place, int>::value) {
      run(place_data + channel * outputs);
    } else {
      vector<int> channel_places(outputs);
      run(channel_places.data());
      // -1 becomes kNoSmallPlace.
      std::transform(channel_places.begin(), channel_places.end(), place_data + channel * outputs,
                     [](int place) { return static_cast<Place>(place); });
    }
  });
}

// Hands each output's gradient to the element that it came from.
template <typename Dtype, typename Place>
void BackwardToPlaces(const PoolGeometry& geometry, const Blob<Dtype>& top, const Place* place_data,
                      Blob<Dtype>* bottom) {
  const Dtype* top_diff = top.cpu_diff();
  Dtype* bottom_diff = bottom->mutable_cpu_diff();
  ForEachWindow(geometry, *bottom, [=](int64_t channel, int64_t output, const PoolWindow&) {
    const int64_t place = ToPlace(place_data[output]);
    if (place >= 0) bottom_diff[channel + place] += top_diff[output];
  });
}

// Hands each output's gradient to all elements of its window: part(place) of it.
template <typename Dtype, typename Part>
void Spread(const PoolWindow& window, Dtype gradient, Dtype* channel_diff, Part part) {
  for (int h = window.h_begin; h < window.h_end; ++h) {
    for (int w = window.w_begin; w < window.w_end; ++w) {
      const int place = h * window.width + w;
      channel_diff[place] += gradient * part(place);
    }
  }
}

}  // namespace

template <typename Dtype>
void PoolingLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) {
  const PoolingParameter& param = this->layer_param_.pooling_param();
  global_pooling_ = param.global_pooling();
  round_mode_ = param.round_mode();
  if (global_pooling_) {
    CHECK(!param.has_kernel_size() && !param.has_kernel_h() && !param.has_kernel_w())
        << "'global_pooling' takes the whole input as its window: remove 'kernel_size'";
    CHECK(param.pad() == 0 && param.pad_h() == 0 && param.pad_w() == 0 && param.stride() == 1 &&
          (!param.has_stride_h() || param.stride_h() == 1) &&
          (!param.has_stride_w() || param.stride_w() == 1))
        << "'global_pooling' has one window: remove 'pad' and 'stride'";
    return;
  }
  PoolAxis height, width;
  read_pool_geometry(param, &height, &width);
  kernel_h_ = height.kernel;
  kernel_w_ = width.kernel;
  stride_h_ = height.stride;
  stride_w_ = width.stride;
  pad_h_ = height.pad;
  pad_w_ = width.pad;
  CHECK(param.pool() != PoolingParameter_PoolMethod_STOCHASTIC || (pad_h_ == 0 && pad_w_ == 0))
      << "stochastic pooling does not take 'pad'";
}

template <typename Dtype>
void PoolingLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  CHECK_EQ(bottom[0]->num_axes(), 4)
      << "pooling takes images, num x channels x height x width, not a blob of shape "
      << bottom[0]->shape_string();
  channels_ = bottom[0]->channels();
  height_ = bottom[0]->height();
  width_ = bottom[0]->width();
  if (global_pooling_) {
    kernel_h_ = height_;
    kernel_w_ = width_;
  }
  const bool padded = pad_h_ > 0 || pad_w_ > 0;
  pooled_height_ = pool_output_size(height_, kernel_h_, pad_h_, stride_h_, round_mode_, padded);
  pooled_width_ = pool_output_size(width_, kernel_w_, pad_w_, stride_w_, round_mode_, padded);
  for (Blob<Dtype>* blob : top) blob->Reshape(bottom[0]->num(), channels_, pooled_height_, pooled_width_);
  switch (this->layer_param_.pooling_param().pool()) {
    case PoolingParameter_PoolMethod_MAX:
      if (top.size() == 1) max_idx_.Reshape(top[0]->shape());
      break;
    case PoolingParameter_PoolMethod_STOCHASTIC:
      rand_idx_.Reshape(top[0]->shape());
      break;
    default:
      break;
  }
}

template <typename Dtype>
PoolGeometry PoolingLayer<Dtype>::Geometry() const {
  return {height_,   width_,    pooled_height_, pooled_width_, kernel_h_,
          kernel_w_, stride_h_, stride_w_,      pad_h_,        pad_w_};
}

template <typename Dtype>
const Blob<int>& PoolingLayer<Dtype>::MaxPlaces() {
  if (!small_places_.empty()) {
    std::transform(small_places_.begin(), small_places_.end(), max_idx_.mutable_cpu_data(),
                   [](uint16_t stored) { return static_cast<int>(ToPlace(stored)); });
    small_places_.clear();
  }
  return max_idx_;
}

template <typename Dtype>
void PoolingLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const PoolGeometry geometry = Geometry();
  const Dtype* bottom_data = bottom[0]->cpu_data();
  Dtype* top_data = top[0]->mutable_cpu_data();
  switch (this->layer_param_.pooling_param().pool()) {
    case PoolingParameter_PoolMethod_MAX:
      small_places_.resize(top.size() == 1 && AreSmall(geometry) ? top[0]->count() : 0);
      if (top.size() > 1) {
        ForwardMax(geometry, *bottom[0], top[0], top[1]->mutable_cpu_data());
      } else if (AreSmall(geometry)) {
        ForwardMax(geometry, *bottom[0], top[0], small_places_.data());
      } else {
        ForwardMax(geometry, *bottom[0], top[0], max_idx_.mutable_cpu_data());
      }
      break;
    case PoolingParameter_PoolMethod_AVE:
      ForEachChannel(geometry, bottom[0]->count(0, 2), [=](int64_t channel) {
        AverageOfChannel(geometry, bottom_data + channel * geometry.height * geometry.width,
                         top_data + channel * geometry.pooled_height * geometry.pooled_width);
      });
      break;
    case PoolingParameter_PoolMethod_STOCHASTIC:
      if (this->phase_ == TRAIN) {
        // Drawn ahead of the loop, so that the values do not depend on the threads.
        Dtype* places = rand_idx_.mutable_cpu_data();
        caffe_rng_uniform(rand_idx_.count(), Dtype(0), Dtype(1), places);
        ForEachWindow(geometry, *bottom[0], [=](int64_t channel, int64_t output, const PoolWindow& window) {
          const int place = pool_draw(bottom_data + channel, window, places[output]);
          top_data[output] = place < 0 ? Dtype(0) : bottom_data[channel + place];
          places[output] = static_cast<Dtype>(place);
        });
      } else {
        ForEachWindow(geometry, *bottom[0], [=](int64_t channel, int64_t output, const PoolWindow& window) {
          top_data[output] = PoolSums<Dtype>(bottom_data + channel, window).expected();
        });
      }
      break;
  }
}

template <typename Dtype>
void PoolingLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                       const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  const PoolGeometry geometry = Geometry();
  const Dtype* top_diff = top[0]->cpu_diff();
  Dtype* bottom_diff = bottom[0]->mutable_cpu_diff();
  caffe_set(bottom[0]->count(), Dtype(0), bottom_diff);
  switch (this->layer_param_.pooling_param().pool()) {
    case PoolingParameter_PoolMethod_MAX:
      if (top.size() > 1) {
        BackwardToPlaces(geometry, *top[0], top[1]->cpu_data(), bottom[0]);
      } else if (!small_places_.empty()) {
        BackwardToPlaces(geometry, *top[0], small_places_.data(), bottom[0]);
      } else {
        BackwardToPlaces(geometry, *top[0], max_idx_.cpu_data(), bottom[0]);
      }
      break;
    case PoolingParameter_PoolMethod_AVE:
      ForEachChannel(geometry, bottom[0]->count(0, 2), [=](int64_t channel) {
        SpreadOverChannel(geometry, top_diff + channel * geometry.pooled_height * geometry.pooled_width,
                          bottom_diff + channel * geometry.height * geometry.width);
      });
      break;
    case PoolingParameter_PoolMethod_STOCHASTIC:
      if (this->phase_ == TRAIN) {
        BackwardToPlaces(geometry, *top[0], rand_idx_.cpu_data(), bottom[0]);
      } else {
        const Dtype* bottom_data = bottom[0]->cpu_data();
        ForEachWindow(geometry, *bottom[0], [=](int64_t channel, int64_t output, const PoolWindow& window) {
          const PoolSums<Dtype> sums(bottom_data + channel, window);
          Spread(window, top_diff[output], bottom_diff + channel,
                 [&](int place) { return sums.expected_gradient(bottom_data[channel + place]); });
        });
      }
      break;
  }
}

#ifdef CPU_ONLY
STUB_GPU(PoolingLayer);
#endif

INSTANTIATE_CLASS(PoolingLayer);

}  // namespace caffe
