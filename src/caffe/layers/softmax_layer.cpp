#include "caffe/layers/softmax_layer.hpp"

#include <algorithm>

#include "caffe/util/engine_choice.hpp"
#include "caffe/util/library_function.hpp"
#include "caffe/util/ones.hpp"
#include "caffe/util/parallel_for.hpp"
#include "caffe/util/target_clones.hpp"

namespace caffe {

namespace {

// An exponential costs about as much as this many simple operations.
constexpr int64_t kExpCost = 16;

// Exponentials that are computed at once, while they stay in a cache.
constexpr int kExpsAtOnce = 32768;

// Of `channels` rows of `inner` values each, at each place of a row: the largest value, all values less that,
// their sum, and all of them divided by it.
template <typename Dtype>
CAFFE_TARGET_CLONES void FindLargest(int channels, int inner, const Dtype* x, Dtype* largest) {
  std::copy_n(x, inner, largest);
  for (int c = 1; c < channels; ++c) {
    for (int i = 0; i < inner; ++i) largest[i] = std::max(largest[i], x[c * inner + i]);
  }
}

template <typename Dtype>
CAFFE_TARGET_CLONES void Subtract(int channels, int inner, const Dtype* x, const Dtype* largest, Dtype* y) {
  for (int c = 0; c < channels; ++c) {
    for (int i = 0; i < inner; ++i) y[c * inner + i] = x[c * inner + i] - largest[i];
  }
}

template <typename Dtype>
CAFFE_TARGET_CLONES void AddTo(int channels, int inner, const Dtype* x, Dtype* sum) {
  for (int c = 0; c < channels; ++c) {
    for (int i = 0; i < inner; ++i) sum[i] += x[c * inner + i];
  }
}

template <typename Dtype>
CAFFE_TARGET_CLONES void Divide(int channels, int inner, const Dtype* sum, Dtype* y) {
  for (int c = 0; c < channels; ++c) {
    for (int i = 0; i < inner; ++i) y[c * inner + i] /= sum[i];
  }
}

int64_t Grain(int64_t elements_per_item) { return kElementGrain / (kExpCost * elements_per_item + 1) + 1; }

}  // namespace

template <typename Dtype>
SoftmaxLayer<Dtype>::SoftmaxLayer(const LayerParameter& param)
    : Layer<Dtype>(param),
      may_use_library_(MayUseLibraries(param.softmax_param().engine() == SoftmaxParameter_Engine_CAFFE)) {}

template <typename Dtype>
void SoftmaxLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  softmax_axis_ = bottom[0]->CanonicalAxisIndex(this->layer_param_.softmax_param().axis());
  if (top[0] != bottom[0]) top[0]->ReshapeLike(*bottom[0]);
  outer_num_ = bottom[0]->count(0, softmax_axis_);
  inner_num_ = bottom[0]->count(softmax_axis_ + 1);
  vector<int> scale_shape = bottom[0]->shape();
  scale_shape[softmax_axis_] = 1;
  scale_.Reshape(scale_shape);
  ReshapeOnes({bottom[0]->shape(softmax_axis_)}, &sum_multiplier_);
}

template <typename Dtype>
void SoftmaxLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const Dtype* x = bottom[0]->cpu_data();
  Dtype* y = top[0]->mutable_cpu_data();
  const int channels = bottom[0]->shape(softmax_axis_);
  const int inner = inner_num_;
  if (channels == 0) return;
  Dtype* scale = scale_.mutable_cpu_data();
  const bool may_use_library = may_use_library_;
  const int channels_at_once = std::clamp(kExpsAtOnce / std::max(inner, 1), 1, channels);
  ParallelFor(outer_num_, Grain(static_cast<int64_t>(channels) * inner), [=](int64_t begin, int64_t end) {
    const ExpFunction<Dtype> exp = {1, 1};
    vector<Dtype> sum(inner);
    for (int64_t outer = begin; outer < end; ++outer) {
      Dtype* largest = scale + outer * inner;
      const Dtype* item = x + outer * channels * inner;
      Dtype* out = y + outer * channels * inner;
      // Less the largest, no exponential overflows.
      FindLargest(channels, inner, item, largest);
      std::fill(sum.begin(), sum.end(), Dtype(0));
      for (int c = 0; c < channels; c += channels_at_once) {
        const int some = std::min(channels_at_once, channels - c);
        Dtype* exps = out + c * inner;
        Subtract(some, inner, item + c * inner, largest, exps);
        ForwardAlone(exp, may_use_library, some * inner, exps, exps);
        AddTo(some, inner, exps, sum.data());
      }
      Divide(channels, inner, sum.data(), out);
    }
  });
}

template <typename Dtype>
void SoftmaxLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                       const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  const Dtype* y = top[0]->cpu_data();
  const Dtype* dy = top[0]->cpu_diff();
  Dtype* dx = bottom[0]->mutable_cpu_diff();
  const int channels = top[0]->shape(softmax_axis_);
  const int inner = inner_num_;
  Dtype* scale = scale_.mutable_cpu_data();
  ParallelFor(outer_num_, Grain(static_cast<int64_t>(channels) * inner), [=](int64_t begin, int64_t end) {
    for (int64_t outer = begin; outer < end; ++outer) {
      const int64_t start = outer * channels * inner;
      Dtype* dot = scale + outer * inner;
      std::fill_n(dot, inner, Dtype(0));
      for (int c = 0; c < channels; ++c) {
        for (int i = 0; i < inner; ++i) dot[i] += y[start + c * inner + i] * dy[start + c * inner + i];
      }
      for (int c = 0; c < channels; ++c) {
        for (int i = 0; i < inner; ++i) {
          const int64_t at = start + c * inner + i;
          dx[at] = y[at] * (dy[at] - dot[i]);
        }
      }
    }
  });
}

#ifdef CPU_ONLY
STUB_GPU(SoftmaxLayer);
#endif

INSTANTIATE_CLASS(SoftmaxLayer);

}  // namespace caffe
