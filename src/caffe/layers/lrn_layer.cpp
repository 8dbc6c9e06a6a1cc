#include "caffe/layers/lrn_layer.hpp"

#include <algorithm>
#include <cmath>
#include <memory>

#include "caffe/util/inner_layer.hpp"
#include "caffe/util/parallel_for.hpp"
#include "caffe/util/target_clones.hpp"

namespace caffe {

namespace {

int64_t Grain(int64_t elements) { return kElementGrain / (16 * std::max<int64_t>(elements, 1)) + 1; }

template <typename Dtype>
void CheckImages(const Blob<Dtype>& bottom) {
  CHECK_EQ(bottom.num_axes(), 4) << "the bottom must have 4 axes (N x C x H x W), not "
                                 << bottom.shape_string();
}

// A channel's s: of all images' values at a place, which lie a plane apart.
template <typename Dtype>
CAFFE_TARGET_CLONES void SumSquares(const LrnFunction<Dtype>& function, int begin, int end, int64_t plane,
                                    const Dtype* x, Dtype* s) {
  std::fill_n(s, plane, function.k);
  for (int j = begin; j < end; ++j) {
    for (int64_t i = 0; i < plane; ++i) s[i] += function.Term(x[j * plane + i]);
  }
}

// Nets have beta = 3/4, mostly: for that two roots do, which a processor takes of several numbers at a time.
template <typename Dtype>
CAFFE_TARGET_CLONES void Factors(const LrnFunction<Dtype>& function, int64_t count, const Dtype* s,
                                 Dtype* factors) {
  if (function.beta == Dtype(0.75)) {
    for (int64_t i = 0; i < count; ++i) {
      const Dtype root = std::sqrt(s[i]);
      factors[i] = 1 / (root * std::sqrt(root));
    }
  } else {
    for (int64_t i = 0; i < count; ++i) factors[i] = function.Factor(s[i]);
  }
}

template <typename Dtype>
CAFFE_TARGET_CLONES void Outputs(int64_t count, const Dtype* x, const Dtype* factors, Dtype* y) {
  for (int64_t i = 0; i < count; ++i) y[i] = x[i] * factors[i];
}

template <typename Dtype>
CAFFE_TARGET_CLONES void GradientTerms(const LrnFunction<Dtype>& function, int64_t count, const Dtype* dy,
                                       const Dtype* y, const Dtype* s, Dtype* terms) {
  for (int64_t i = 0; i < count; ++i) terms[i] = function.GradientTerm(dy[i], y[i], s[i]);
}

// Of a channel whose terms are those of channels [begin, end).
template <typename Dtype>
CAFFE_TARGET_CLONES void Gradients(const LrnFunction<Dtype>& function, int begin, int end, int64_t plane,
                                   const Dtype* dy, const Dtype* factors, const Dtype* x, const Dtype* terms,
                                   Dtype* sums, Dtype* dx) {
  std::fill_n(sums, plane, Dtype(0));
  for (int j = begin; j < end; ++j) {
    for (int64_t i = 0; i < plane; ++i) sums[i] += terms[j * plane + i];
  }
  for (int64_t i = 0; i < plane; ++i) dx[i] = function.Gradient(dy[i], factors[i], x[i], sums[i]);
}

}  // namespace

template <typename Dtype>
void LRNLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  CheckImages(*bottom[0]);
  const LRNParameter& param = this->layer_param_.lrn_param();
  size_ = param.local_size();
  CHECK(size_ > 0 && size_ % 2 == 1) << "lrn_param.local_size must be odd and positive, not " << size_;
  pre_pad_ = (size_ - 1) / 2;
  alpha_ = param.alpha();
  beta_ = param.beta();
  k_ = param.k();
  if (param.norm_region() == LRNParameter_NormRegion_WITHIN_CHANNEL) SetUpWithinChannel(bottom, top);
}

template <typename Dtype>
void LRNLayer<Dtype>::SetUpWithinChannel(const vector<Blob<Dtype>*>& bottom,
                                         const vector<Blob<Dtype>*>& top) {
  const auto part = [this](const char* type, const char* name) {
    return InnerLayer(this->layer_param_, type, name);
  };
  split_top_vec_ = {&product_input_, &square_input_};
  split_layer_ = std::make_shared<SplitLayer<Dtype>>(part("Split", "copies"));
  split_layer_->SetUp(bottom, split_top_vec_);

  LayerParameter square = part("Power", "squares");
  square.mutable_power_param()->set_power(2);
  square_bottom_vec_ = {&square_input_};
  square_top_vec_ = {&square_output_};
  square_layer_ = std::make_shared<PowerLayer<Dtype>>(square);
  square_layer_->SetUp(square_bottom_vec_, square_top_vec_);

  LayerParameter pool = part("Pooling", "means");
  pool.mutable_pooling_param()->set_pool(PoolingParameter_PoolMethod_AVE);
  pool.mutable_pooling_param()->set_kernel_size(size_);
  pool.mutable_pooling_param()->set_pad(pre_pad_);
  pool_top_vec_ = {&pool_output_};
  pool_layer_ = std::make_shared<PoolingLayer<Dtype>>(pool);
  pool_layer_->SetUp(square_top_vec_, pool_top_vec_);

  LayerParameter power = part("Power", "factors");
  power.mutable_power_param()->set_power(-beta_);
  power.mutable_power_param()->set_scale(alpha_);
  power.mutable_power_param()->set_shift(1);
  power_top_vec_ = {&power_output_};
  power_layer_ = std::make_shared<PowerLayer<Dtype>>(power);
  power_layer_->SetUp(pool_top_vec_, power_top_vec_);

  LayerParameter product = part("Eltwise", "product");
  product.mutable_eltwise_param()->set_operation(EltwiseParameter_EltwiseOp_PROD);
  product_bottom_vec_ = {&product_input_, &power_output_};
  product_layer_ = std::make_shared<EltwiseLayer<Dtype>>(product);
  product_layer_->SetUp(product_bottom_vec_, top);
}

template <typename Dtype>
void LRNLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  CheckImages(*bottom[0]);
  num_ = bottom[0]->num();
  channels_ = bottom[0]->channels();
  height_ = bottom[0]->height();
  width_ = bottom[0]->width();
  if (!product_layer_) {
    top[0]->ReshapeLike(*bottom[0]);
    scale_.ReshapeLike(*bottom[0]);
    return;
  }
  split_layer_->Reshape(bottom, split_top_vec_);
  square_layer_->Reshape(square_bottom_vec_, square_top_vec_);
  pool_layer_->Reshape(square_top_vec_, pool_top_vec_);
  power_layer_->Reshape(pool_top_vec_, power_top_vec_);
  product_layer_->Reshape(product_bottom_vec_, top);
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
LrnFunction<Dtype> LRNLayer<Dtype>::Function() const {
  return {alpha_ / size_, beta_, k_, 2 * alpha_ * beta_ / size_};
}

template <typename Dtype>
void LRNLayer<Dtype>::CrossChannelForward_cpu(const vector<Blob<Dtype>*>& bottom,
                                              const vector<Blob<Dtype>*>& top) {
  const int64_t plane = static_cast<int64_t>(height_) * width_;
  const Dtype* bottom_data = bottom[0]->cpu_data();
  Dtype* top_data = top[0]->mutable_cpu_data();
  Dtype* scale_data = scale_.mutable_cpu_data();
  const LrnFunction<Dtype> function = Function();
  const LrnWindow window = {size_, pre_pad_};
  ParallelFor(num_, Grain(channels_ * plane), [=](int64_t begin, int64_t end) {
    vector<Dtype> factors(plane);
    for (int64_t n = begin; n < end; ++n) {
      const Dtype* x = bottom_data + n * channels_ * plane;
      Dtype* y = top_data + n * channels_ * plane;
      Dtype* scale = scale_data + n * channels_ * plane;
      for (int c = 0; c < channels_; ++c) {
        Dtype* row = scale + c * plane;
        SumSquares(function, window.begin(c), window.end(c, channels_), plane, x, row);
        Factors(function, plane, row, factors.data());
        Outputs(plane, x + c * plane, factors.data(), y + c * plane);
      }
    }
  });
}

template <typename Dtype>
void LRNLayer<Dtype>::CrossChannelBackward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>&,
                                               const vector<Blob<Dtype>*>& bottom) {
  const int64_t plane = static_cast<int64_t>(height_) * width_;
  const Dtype* bottom_data = bottom[0]->cpu_data();
  const Dtype* top_data = top[0]->cpu_data();
  const Dtype* top_diff = top[0]->cpu_diff();
  const Dtype* scale_data = scale_.cpu_data();
  Dtype* bottom_diff = bottom[0]->mutable_cpu_diff();
  const LrnFunction<Dtype> function = Function();
  const LrnWindow window = {size_, pre_pad_};
  ParallelFor(num_, Grain(channels_ * plane), [=](int64_t begin, int64_t end) {
    vector<Dtype> terms(channels_ * plane), sums(plane), factors(plane);
    for (int64_t n = begin; n < end; ++n) {
      const int64_t item = n * channels_ * plane;
      GradientTerms(function, channels_ * plane, top_diff + item, top_data + item, scale_data + item,
                    terms.data());
      for (int c = 0; c < channels_; ++c) {
        const int64_t at = item + c * plane;
        Factors(function, plane, scale_data + at, factors.data());
        Gradients(function, window.users_begin(c), window.users_end(c, channels_), plane, top_diff + at,
                  factors.data(), bottom_data + at, terms.data(), sums.data(), bottom_diff + at);
      }
    }
  });
}

template <typename Dtype>
void LRNLayer<Dtype>::WithinChannelForward(const vector<Blob<Dtype>*>& bottom,
                                           const vector<Blob<Dtype>*>& top) {
  split_layer_->Forward(bottom, split_top_vec_);
  square_layer_->Forward(square_bottom_vec_, square_top_vec_);
  pool_layer_->Forward(square_top_vec_, pool_top_vec_);
  power_layer_->Forward(pool_top_vec_, power_top_vec_);
  product_layer_->Forward(product_bottom_vec_, top);
}

template <typename Dtype>
void LRNLayer<Dtype>::WithinChannelBackward(const vector<Blob<Dtype>*>& top, const vector<bool>&,
                                            const vector<Blob<Dtype>*>& bottom) {
  product_layer_->Backward(top, {true, true}, product_bottom_vec_);
  power_layer_->Backward(power_top_vec_, {true}, pool_top_vec_);
  pool_layer_->Backward(pool_top_vec_, {true}, square_top_vec_);
  square_layer_->Backward(square_top_vec_, {true}, square_bottom_vec_);
  split_layer_->Backward(split_top_vec_, {true}, bottom);
}

#ifdef CPU_ONLY
STUB_GPU(LRNLayer);
STUB_GPU_FORWARD(LRNLayer, CrossChannelForward);
STUB_GPU_BACKWARD(LRNLayer, CrossChannelBackward);
#endif

INSTANTIATE_CLASS(LRNLayer);

}  // namespace caffe
