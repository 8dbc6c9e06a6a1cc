#include "caffe/layers/softmax_layer.hpp"

#include <algorithm>
#include <cmath>

#include "caffe/util/ones.hpp"
#include "caffe/util/parallel_for.hpp"

namespace caffe {

namespace {

// An exponential costs about as much as this many simple operations.
constexpr int64_t kExpCost = 16;

int64_t Grain(int64_t elements_per_item) { return kElementGrain / (kExpCost * elements_per_item + 1) + 1; }

}  // namespace

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
  ParallelFor(outer_num_, Grain(static_cast<int64_t>(channels) * inner), [=](int64_t begin, int64_t end) {
    vector<Dtype> sum(inner);
    for (int64_t outer = begin; outer < end; ++outer) {
      Dtype* largest = scale + outer * inner;
      const Dtype* item = x + outer * channels * inner;
      Dtype* out = y + outer * channels * inner;
      // Less the largest, no exponential overflows.
      std::copy_n(item, inner, largest);
      for (int c = 1; c < channels; ++c) {
        for (int i = 0; i < inner; ++i) largest[i] = std::max(largest[i], item[c * inner + i]);
      }
      std::fill(sum.begin(), sum.end(), Dtype(0));
      for (int c = 0; c < channels; ++c) {
        for (int i = 0; i < inner; ++i) {
          const Dtype e = std::exp(item[c * inner + i] - largest[i]);
          out[c * inner + i] = e;
          sum[i] += e;
        }
      }
      for (int c = 0; c < channels; ++c) {
        for (int i = 0; i < inner; ++i) out[c * inner + i] /= sum[i];
      }
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
