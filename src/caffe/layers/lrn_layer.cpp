#include "caffe/layers/lrn_layer.hpp"

#include <algorithm>
#include <cmath>

#include "caffe/util/parallel_for.hpp"

namespace caffe {

namespace {

// out(h, w) = the sum of in over the size x size window around (h, w), zero outside.
template <typename Dtype>
void WindowSum(const Dtype* in, int height, int width, int size, int before, Dtype* rows, Dtype* out) {
  const auto slide = [size, before](const Dtype* from, int length, int stride, Dtype* to) {
    for (int i = 0; i < length; ++i) {
      Dtype sum = 0;
      for (int j = std::max(i - before, 0); j < std::min(i - before + size, length); ++j)
        sum += from[j * stride];
      to[i * stride] = sum;
    }
  };
  for (int h = 0; h < height; ++h) slide(in + h * width, width, 1, rows + h * width);
  for (int w = 0; w < width; ++w) slide(rows + w, height, width, out + w);
}

int64_t Grain(int64_t elements) { return kElementGrain / (16 * std::max<int64_t>(elements, 1)) + 1; }

}  // namespace

template <typename Dtype>
void LRNLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) {
  const LRNParameter& param = this->layer_param_.lrn_param();
  size_ = param.local_size();
  CHECK(size_ > 0 && size_ % 2 == 1) << "lrn_param.local_size must be odd and positive, not " << size_;
  pre_pad_ = (size_ - 1) / 2;
  alpha_ = param.alpha();
  beta_ = param.beta();
  k_ = param.k();
}

template <typename Dtype>
void LRNLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  CHECK_EQ(bottom[0]->num_axes(), 4) << "the bottom must have 4 axes (N x C x H x W), not "
                                     << bottom[0]->shape_string();
  num_ = bottom[0]->num();
  channels_ = bottom[0]->channels();
  height_ = bottom[0]->height();
  width_ = bottom[0]->width();
  top[0]->ReshapeLike(*bottom[0]);
  scale_.ReshapeLike(*bottom[0]);
}

template <typename Dtype>
void LRNLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  if (this->layer_param_.lrn_param().norm_region() == LRNParameter_NormRegion_ACROSS_CHANNELS) {
    CrossChannelForward_cpu(bottom, top);
  } else {
    WithinChannelForward(bottom, top);
  }
}

template <typename Dtype>
void LRNLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                   const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  if (this->layer_param_.lrn_param().norm_region() == LRNParameter_NormRegion_ACROSS_CHANNELS) {
    CrossChannelBackward_cpu(top, propagate_down, bottom);
  } else {
    WithinChannelBackward(top, propagate_down, bottom);
  }
}

template <typename Dtype>
void LRNLayer<Dtype>::CrossChannelForward_cpu(const vector<Blob<Dtype>*>& bottom,
                                              const vector<Blob<Dtype>*>& top) {
  const int64_t plane = static_cast<int64_t>(height_) * width_;
  const Dtype* bottom_data = bottom[0]->cpu_data();
  Dtype* top_data = top[0]->mutable_cpu_data();
  Dtype* scale_data = scale_.mutable_cpu_data();
  const Dtype alpha_over_size = alpha_ / size_;
  ParallelFor(num_, Grain(channels_ * plane), [=](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const Dtype* x = bottom_data + n * channels_ * plane;
      Dtype* y = top_data + n * channels_ * plane;
      Dtype* scale = scale_data + n * channels_ * plane;
      for (int c = 0; c < channels_; ++c) {
        Dtype* row = scale + c * plane;
        std::fill_n(row, plane, k_);
        for (int j = std::max(c - pre_pad_, 0); j < std::min(c - pre_pad_ + size_, channels_); ++j) {
          for (int64_t i = 0; i < plane; ++i) row[i] += alpha_over_size * x[j * plane + i] * x[j * plane + i];
        }
        for (int64_t i = 0; i < plane; ++i) y[c * plane + i] = x[c * plane + i] * std::pow(row[i], -beta_);
      }
    }
  });
}

template <typename Dtype>
void LRNLayer<Dtype>::CrossChannelBackward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>&,
                                               const vector<Blob<Dtype>*>& bottom) {
  // dx_c = dy_c s_c^-beta - 2 alpha beta / n x_c sum over j whose window holds c of dy_j y_j / s_j.
  const int64_t plane = static_cast<int64_t>(height_) * width_;
  const Dtype* bottom_data = bottom[0]->cpu_data();
  const Dtype* top_data = top[0]->cpu_data();
  const Dtype* top_diff = top[0]->cpu_diff();
  const Dtype* scale_data = scale_.cpu_data();
  Dtype* bottom_diff = bottom[0]->mutable_cpu_diff();
  const Dtype factor = 2 * alpha_ * beta_ / size_;
  ParallelFor(num_, Grain(channels_ * plane), [=](int64_t begin, int64_t end) {
    vector<Dtype> ratio(channels_ * plane), sum(plane);
    for (int64_t n = begin; n < end; ++n) {
      const int64_t item = n * channels_ * plane;
      for (int64_t i = 0; i < channels_ * plane; ++i) {
        ratio[i] = top_diff[item + i] * top_data[item + i] / scale_data[item + i];
      }
      for (int c = 0; c < channels_; ++c) {
        std::fill(sum.begin(), sum.end(), Dtype(0));
        // The window of j reaches pre_pad_ back and size_ - pre_pad_ - 1 forward.
        for (int j = std::max(c + pre_pad_ - size_ + 1, 0); j < std::min(c + pre_pad_ + 1, channels_); ++j) {
          for (int64_t i = 0; i < plane; ++i) sum[i] += ratio[j * plane + i];
        }
        for (int64_t i = 0; i < plane; ++i) {
          const int64_t at = item + c * plane + i;
          bottom_diff[at] =
              top_diff[at] * std::pow(scale_data[at], -beta_) - factor * bottom_data[at] * sum[i];
        }
      }
    }
  });
}

template <typename Dtype>
void LRNLayer<Dtype>::WithinChannelForward(const vector<Blob<Dtype>*>& bottom,
                                           const vector<Blob<Dtype>*>& top) {
  const int64_t plane = static_cast<int64_t>(height_) * width_;
  const Dtype* bottom_data = bottom[0]->cpu_data();
  Dtype* top_data = top[0]->mutable_cpu_data();
  Dtype* scale_data = scale_.mutable_cpu_data();
  const Dtype alpha_over_size = alpha_ / (static_cast<Dtype>(size_) * size_);
  ParallelFor(static_cast<int64_t>(num_) * channels_, Grain(plane), [=](int64_t begin, int64_t end) {
    vector<Dtype> square(plane), rows(plane);
    for (int64_t p = begin; p < end; ++p) {
      const Dtype* x = bottom_data + p * plane;
      Dtype* scale = scale_data + p * plane;
      for (int64_t i = 0; i < plane; ++i) square[i] = x[i] * x[i];
      WindowSum(square.data(), height_, width_, size_, pre_pad_, rows.data(), scale);
      for (int64_t i = 0; i < plane; ++i) {
        scale[i] = 1 + alpha_over_size * scale[i];
        top_data[p * plane + i] = x[i] * std::pow(scale[i], -beta_);
      }
    }
  });
}

template <typename Dtype>
void LRNLayer<Dtype>::WithinChannelBackward(const vector<Blob<Dtype>*>& top, const vector<bool>&,
                                            const vector<Blob<Dtype>*>& bottom) {
  const int64_t plane = static_cast<int64_t>(height_) * width_;
  const Dtype* bottom_data = bottom[0]->cpu_data();
  const Dtype* top_data = top[0]->cpu_data();
  const Dtype* top_diff = top[0]->cpu_diff();
  const Dtype* scale_data = scale_.cpu_data();
  Dtype* bottom_diff = bottom[0]->mutable_cpu_diff();
  const Dtype factor = 2 * alpha_ * beta_ / (static_cast<Dtype>(size_) * size_);
  ParallelFor(static_cast<int64_t>(num_) * channels_, Grain(plane), [=](int64_t begin, int64_t end) {
    vector<Dtype> ratio(plane), rows(plane), sum(plane);
    for (int64_t p = begin; p < end; ++p) {
      const int64_t start = p * plane;
      for (int64_t i = 0; i < plane; ++i) {
        ratio[i] = top_diff[start + i] * top_data[start + i] / scale_data[start + i];
      }
      // An odd window is symmetric: position i lies in the windows of those in its own.
      WindowSum(ratio.data(), height_, width_, size_, pre_pad_, rows.data(), sum.data());
      for (int64_t i = 0; i < plane; ++i) {
        const int64_t at = start + i;
        bottom_diff[at] = top_diff[at] * std::pow(scale_data[at], -beta_) - factor * bottom_data[at] * sum[i];
      }
    }
  });
}

#ifdef CPU_ONLY
STUB_GPU(LRNLayer);
STUB_GPU_FORWARD(LRNLayer, CrossChannelForward);
STUB_GPU_BACKWARD(LRNLayer, CrossChannelBackward);
#endif

INSTANTIATE_CLASS(LRNLayer);
REGISTER_LAYER_CLASS(LRN);

}  // namespace caffe
