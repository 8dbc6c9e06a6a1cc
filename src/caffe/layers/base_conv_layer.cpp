#include "caffe/layers/base_conv_layer.hpp"

#include <algorithm>
#include <memory>
#include <type_traits>
#include <typeinfo>
#include <vector>

#include "caffe/filler.hpp"
#include "caffe/layers/binary_conv_layer.hpp"
#include "caffe/layers/conv_layer.hpp"
#include "caffe/layers/deconv_layer.hpp"
#include "caffe/util/conv_geometry.hpp"
#include "caffe/util/engine_choice.hpp"
#include "caffe/util/im2col.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/parallel_for.hpp"
#include "caffe/util/scratch_memory.hpp"
#include "caffe/util/winograd.hpp"

namespace caffe {

namespace {

string ShapeText(const vector<int>& shape) { return Blob<int>(shape).shape_string(); }

// Of the first `axes`, of which there may be none though the blob has an element.
bool All(const Blob<int>& blob, int axes, int value) {
  const int* data = blob.cpu_data();
  return std::all_of(data, data + axes, [value](int element) { return element == value; });
}

// Several sums at a time, so that the additions need not wait for each other and can be vectorized.
template <typename Dtype>
Dtype Sum(const Dtype* x, int n) {
  constexpr int kLanes = 16;
  Dtype lanes[kLanes] = {};
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += x[i + lane];
  }
  Dtype sum = 0;
  for (; i < n; ++i) sum += x[i];
  for (const Dtype lane : lanes) sum += lane;
  return sum;
}

// Uninitialized memory for columns.
template <typename Dtype>
std::unique_ptr<Dtype[]> ColumnBuffer(int64_t size) {
  return std::unique_ptr<Dtype[]>(size > 0 ? new Dtype[size] : nullptr);
}

// Multiplications that are worth a thread.
constexpr int64_t kMultiplyGrain = 1 << 17;

}  // namespace

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom,
                                             const vector<Blob<Dtype>*>&) {
  const ConvolutionParameter& param = this->layer_param_.convolution_param();
  force_nd_im2col_ = param.force_nd_im2col();
  channel_axis_ = bottom[0]->CanonicalAxisIndex(param.axis());
  num_spatial_axes_ = bottom[0]->num_axes() - channel_axis_ - 1;
  read_conv_geometry(param, num_spatial_axes_, &kernel_shape_, &stride_, &pad_, &dilation_);
  is_1x1_ = All(kernel_shape_, num_spatial_axes_, 1) && All(stride_, num_spatial_axes_, 1) &&
            All(pad_, num_spatial_axes_, 0);

  channels_ = bottom[0]->shape(channel_axis_);
  CHECK(param.num_output() >= 1 && param.num_output() <= INT_MAX)
      << "'num_output' must be at least 1, not " << param.num_output();
  num_output_ = static_cast<int>(param.num_output());
  CHECK(param.group() >= 1 && param.group() <= INT_MAX)
      << "'group' must be at least 1, not " << param.group();
  group_ = static_cast<int>(param.group());
  CHECK_EQ(channels_ % group_, 0) << "the input's " << channels_ << " channels do not divide into " << group_
                                  << " groups";
  CHECK_EQ(num_output_ % group_, 0) << "num_output " << num_output_ << " does not divide into " << group_
                                    << " groups";
  conv_out_channels_ = reverse_dimensions() ? channels_ : num_output_;
  conv_in_channels_ = reverse_dimensions() ? num_output_ : channels_;

  vector<int> weight_shape = {conv_out_channels_, conv_in_channels_ / group_};
  for (int i = 0; i < num_spatial_axes_; ++i) weight_shape.push_back(kernel_shape_.cpu_data()[i]);
  bias_term_ = param.bias_term();
  const vector<int> bias_shape(bias_term_, num_output_);
  if (!this->blobs_.empty()) {
    CHECK_EQ(this->blobs_.size(), 1u + bias_term_)
        << "the layer needs blobs for weights" << (bias_term_ ? " and bias" : " only");
    CHECK(this->blobs_[0]->shape() == weight_shape)
        << "the weights given have shape " << this->blobs_[0]->shape_string() << ", but the settings ask for "
        << ShapeText(weight_shape);
    CHECK(!bias_term_ || this->blobs_[1]->shape() == bias_shape)
        << "the bias given has shape " << this->blobs_[1]->shape_string() << ", but the settings ask for "
        << ShapeText(bias_shape);
  } else {
    this->blobs_.push_back(std::make_shared<Blob<Dtype>>(weight_shape));
    FillBlob(param.weight_filler(), this->blobs_[0].get());
    if (bias_term_) {
      this->blobs_.push_back(std::make_shared<Blob<Dtype>>(bias_shape));
      FillBlob(param.bias_filler(), this->blobs_[1].get());
    }
  }
  kernel_dim_ = this->blobs_[0]->count(1);
  weight_offset_ = conv_out_channels_ / group_ * kernel_dim_;
  this->param_propagate_down_.resize(this->blobs_.size(), true);
  MakeEngine();
}

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::MakeEngine() {
  const ConvolutionParameter& param = this->layer_param_.convolution_param();
  engine_.reset();
  may_use_winograd_ = false;
  if (!MayUseLibraries(param.engine() == ConvolutionParameter_Engine_CAFFE)) return;
  // Products of matrices as they are: nothing to gain.
  if (is_1x1_ && group_ == 1) return;
  if constexpr (std::is_same<Dtype, float>::value) {
    const auto sizes = [this](const Blob<int>& blob) {
      return vector<int>(blob.cpu_data(), blob.cpu_data() + num_spatial_axes_);
    };
    // Weights that are trained are new at each pass, and code for Caffe may keep a pointer to them.
    engine_ = MakeOneDnnConvolution({conv_in_channels_, conv_out_channels_, group_, sizes(kernel_shape_),
                                     sizes(stride_), sizes(pad_), sizes(dilation_)},
                                    this->phase_ == TEST);
    may_use_winograd_ =
        !reverse_dimensions() && group_ == 1 && num_spatial_axes_ == 2 &&
        (All(kernel_shape_, num_spatial_axes_, 3) || All(kernel_shape_, num_spatial_axes_, 5)) &&
        All(stride_, num_spatial_axes_, 1) && All(dilation_, num_spatial_axes_, 1);
  }
}

template <typename Dtype>
ConvolutionImages BaseConvolutionLayer<Dtype>::EngineImages() const {
  const int* input = conv_input_shape_.cpu_data();
  ConvolutionImages images;
  images.num = num_;
  images.input.assign(input + 1, input + 1 + num_spatial_axes_);
  images.output.assign(col_buffer_shape_.begin() + 1, col_buffer_shape_.end());
  return images;
}

template <typename Dtype>
bool BaseConvolutionLayer<Dtype>::EngineForward(const Blob<Dtype>& weights, const Dtype* bias,
                                                const Blob<Dtype>& bottom, Blob<Dtype>* top) {
  if constexpr (std::is_same<Dtype, float>::value) {
    if (!engine_ || bottom.count() == 0) return false;
    if (!reverse_dimensions()) {
      return engine_->Convolve(EngineImages(), bottom.cpu_data(), weights, bias, top->mutable_cpu_data());
    }
    float* top_data = top->mutable_cpu_data();
    if (!engine_->ConvolveTransposed(EngineImages(), bottom.cpu_data(), weights, top_data,
                                     Precision::kFloat)) {
      return false;
    }
    if (bias) {
      ParallelFor(num_, kElementGrain / std::max(top_dim_, 1) + 1, [=](int64_t begin, int64_t end) {
        for (int64_t n = begin; n < end; ++n) forward_cpu_bias(top_data + n * top_dim_, bias);
      });
    }
    return true;
  }
  return false;
}

template <typename Dtype>
bool BaseConvolutionLayer<Dtype>::EngineWeightGradient(const Blob<Dtype>& bottom, const Blob<Dtype>& top,
                                                       Precision precision, Dtype* weight_diff) {
  if constexpr (std::is_same<Dtype, float>::value) {
    if (!engine_ || bottom.count() == 0) return false;
    const bool reverse = reverse_dimensions();
    return engine_->AddWeightGradient(EngineImages(), reverse ? top.cpu_diff() : bottom.cpu_data(),
                                      reverse ? bottom.cpu_data() : top.cpu_diff(), weight_diff, precision);
  }
  return false;
}

template <typename Dtype>
bool BaseConvolutionLayer<Dtype>::EngineBottomGradient(const Blob<Dtype>& weights, const Blob<Dtype>& top,
                                                       Precision precision, Blob<Dtype>* bottom) {
  if constexpr (std::is_same<Dtype, float>::value) {
    if (!engine_ || bottom->count() == 0) return false;
    float* bottom_diff = bottom->mutable_cpu_diff();
    if (!reverse_dimensions()) {
      return engine_->ConvolveTransposed(EngineImages(), top.cpu_diff(), weights, bottom_diff, precision);
    }
    return precision == Precision::kFloat &&
           engine_->Convolve(EngineImages(), top.cpu_diff(), weights, nullptr, bottom_diff);
  }
  return false;
}

template <typename Dtype>
bool BaseConvolutionLayer<Dtype>::WinogradGradients(const Blob<Dtype>& weights, const Blob<Dtype>& top,
                                                    Precision precision, Dtype* weight_diff, bool to_bottom,
                                                    Blob<Dtype>* bottom) {
  if constexpr (std::is_same<Dtype, float>::value) {
    if (!may_use_winograd_ || bottom->count() == 0) return false;
    const int* input = conv_input_shape_.cpu_data();
    const WinogradShape shape = {
        num_,     channels_,          num_output_,        input[1],
        input[2], pad_.cpu_data()[0], pad_.cpu_data()[1], kernel_shape_.cpu_data()[0]};
    if (!IsWinogradWorthwhile(shape, precision)) return false;
    // Of 5x5 small products take no less in BF16.
    constexpr int kLeastChannels = 64;
    if (shape.kernel == 5 && std::min(channels_, num_output_) < kLeastChannels) precision = Precision::kFloat;
    WinogradBackward(shape, weight_diff ? bottom->cpu_data() : nullptr, top.cpu_diff(),
                     to_bottom ? weights.cpu_data() : nullptr, weight_diff,
                     to_bottom ? bottom->mutable_cpu_diff() : nullptr, precision);
    return true;
  }
  return false;
}

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom,
                                          const vector<Blob<Dtype>*>& top) {
  const int first_spatial_axis = channel_axis_ + 1;
  CHECK_EQ(bottom[0]->num_axes(), first_spatial_axis + num_spatial_axes_)
      << "the number of the bottom's axes may not change after set-up";
  CHECK_EQ(bottom[0]->shape(channel_axis_), channels_)
      << "the number of input channels may not change after set-up";
  for (const Blob<Dtype>* blob : bottom) {
    CHECK(blob->shape() == bottom[0]->shape())
        << "all bottoms must have one shape, not " << bottom[0]->shape_string() << " and "
        << blob->shape_string();
  }
  num_ = bottom[0]->count(0, channel_axis_);
  bottom_shape_ = &bottom[0]->shape();
  compute_output_shape();
  vector<int> top_shape(bottom_shape_->begin(), bottom_shape_->begin() + channel_axis_);
  top_shape.push_back(num_output_);
  top_shape.insert(top_shape.end(), output_shape_.begin(), output_shape_.end());
  for (Blob<Dtype>* blob : top) blob->Reshape(top_shape);

  bottom_dim_ = bottom[0]->count(channel_axis_);
  top_dim_ = top[0]->count(channel_axis_);
  out_spatial_dim_ = top[0]->count(first_spatial_axis);

  const Blob<Dtype>& conv_input = reverse_dimensions() ? *top[0] : *bottom[0];
  const Blob<Dtype>& conv_output = reverse_dimensions() ? *bottom[0] : *top[0];
  conv_input_shape_.Reshape(vector<int>(1, num_spatial_axes_ + 1));
  for (int i = 0; i <= num_spatial_axes_; ++i) {
    conv_input_shape_.mutable_cpu_data()[i] = conv_input.shape(channel_axis_ + i);
  }
  const vector<int> columns(conv_output.shape().begin() + first_spatial_axis, conv_output.shape().end());
  conv_column_count(conv_in_channels_, num_spatial_axes_, kernel_shape_.cpu_data(), columns.data());
  col_buffer_shape_.assign(1, kernel_dim_ * group_);
  col_buffer_shape_.insert(col_buffer_shape_.end(), columns.begin(), columns.end());
  conv_out_spatial_dim_ = conv_output.count(first_spatial_axis);
  col_offset_ = kernel_dim_ * conv_out_spatial_dim_;
  output_offset_ = conv_out_channels_ / group_ * conv_out_spatial_dim_;
}

// Whole images go to the threads where there are enough of them; otherwise one image after the other, so that
// the threads can share in each image's products.
template <typename Dtype>
int64_t BaseConvolutionLayer<Dtype>::ImageGrain() const {
  if (num_ < ParallelThreads()) return num_;
  const int64_t multiplications = static_cast<int64_t>(this->blobs_[0]->count()) * conv_out_spatial_dim_;
  return kMultiplyGrain / std::max<int64_t>(multiplications, 1) + 1;
}

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::set_output_shape(int (*output_size)(int, int, int, int, int)) {
  output_shape_.clear();
  for (int i = 0; i < num_spatial_axes_; ++i) {
    output_shape_.push_back(output_size(input_shape(i + 1), kernel_shape_.cpu_data()[i], pad_.cpu_data()[i],
                                        stride_.cpu_data()[i], dilation_.cpu_data()[i]));
  }
}

template <typename Dtype>
const Dtype* BaseConvolutionLayer<Dtype>::Columns(const Dtype* image, Dtype* buffer) const {
  if (is_1x1_) return image;
  im2col_nd_cpu(image, num_spatial_axes_, conv_input_shape_.cpu_data(), col_buffer_shape_.data(),
                kernel_shape_.cpu_data(), pad_.cpu_data(), stride_.cpu_data(), dilation_.cpu_data(), buffer);
  return buffer;
}

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::Convolve(const Dtype* columns, const Dtype* weights, Dtype* output) const {
  for (int g = 0; g < group_; ++g) {
    caffe_cpu_gemm<Dtype>(CblasNoTrans, CblasNoTrans, conv_out_channels_ / group_, conv_out_spatial_dim_,
                          kernel_dim_, 1, weights + weight_offset_ * g, columns + col_offset_ * g, 0,
                          output + output_offset_ * g);
  }
}

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::ConvolveTransposed(const Dtype* output, const Dtype* weights, Dtype* image,
                                                     Dtype* buffer) const {
  Dtype* columns = is_1x1_ ? image : buffer;
  for (int g = 0; g < group_; ++g) {
    caffe_cpu_gemm<Dtype>(CblasTrans, CblasNoTrans, kernel_dim_, conv_out_spatial_dim_,
                          conv_out_channels_ / group_, 1, weights + weight_offset_ * g,
                          output + output_offset_ * g, 0, columns + col_offset_ * g);
  }
  if (is_1x1_) return;
  col2im_nd_cpu(columns, num_spatial_axes_, conv_input_shape_.cpu_data(), col_buffer_shape_.data(),
                kernel_shape_.cpu_data(), pad_.cpu_data(), stride_.cpu_data(), dilation_.cpu_data(), image);
}

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::AddWeightGradient(const Dtype* columns, const Dtype* output,
                                                    Dtype* weights) const {
  for (int g = 0; g < group_; ++g) {
    caffe_cpu_gemm<Dtype>(CblasNoTrans, CblasTrans, conv_out_channels_ / group_, kernel_dim_,
                          conv_out_spatial_dim_, 1, output + output_offset_ * g, columns + col_offset_ * g, 1,
                          weights + weight_offset_ * g);
  }
}

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::AddBiasGradient(const Dtype* top_diff, int64_t images, Dtype* bias) const {
  const int64_t grain = kElementGrain / std::max<int64_t>(images * out_spatial_dim_, 1) + 1;
  ParallelFor(num_output_, grain, [=](int64_t begin, int64_t end) {
    for (int64_t channel = begin; channel < end; ++channel) {
      for (int64_t n = 0; n < images; ++n) {
        bias[channel] += Sum(top_diff + n * top_dim_ + channel * out_spatial_dim_, out_spatial_dim_);
      }
    }
  });
}

template <typename Dtype>
Dtype* BaseConvolutionLayer<Dtype>::OwnColumnBuffer() {
  if (is_1x1_) return nullptr;
  col_buffer_.Reshape(col_buffer_shape_);
  return col_buffer_.mutable_cpu_data();
}

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::forward_cpu_gemm(const Dtype* input, const Dtype* weights, Dtype* output,
                                                   bool skip_im2col) {
  Dtype* buffer = OwnColumnBuffer();
  Convolve(skip_im2col && !is_1x1_ ? buffer : Columns(input, buffer), weights, output);
}

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::forward_cpu_bias(Dtype* output, const Dtype* bias) {
  for (int channel = 0; channel < num_output_; ++channel) {
    const Dtype value = bias[channel];
    for (int i = 0; i < out_spatial_dim_; ++i) *output++ += value;
  }
}

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::backward_cpu_gemm(const Dtype* input, const Dtype* weights, Dtype* output) {
  ConvolveTransposed(input, weights, output, OwnColumnBuffer());
}

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::weight_cpu_gemm(const Dtype* input, const Dtype* output, Dtype* weights) {
  AddWeightGradient(Columns(input, OwnColumnBuffer()), output, weights);
}

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::backward_cpu_bias(Dtype* bias, const Dtype* input) {
  AddBiasGradient(input, 1, bias);
}

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::Forward_images(const Blob<Dtype>& weights_blob,
                                                 const vector<Blob<Dtype>*>& bottom,
                                                 const vector<Blob<Dtype>*>& top) {
  const Dtype* weights = weights_blob.cpu_data();
  const bool reverse = reverse_dimensions();
  const Dtype* bias = bias_term_ ? this->blobs_[1]->cpu_data() : nullptr;
  for (size_t i = 0; i < bottom.size(); ++i) {
    if (EngineForward(weights_blob, bias, *bottom[i], top[i])) continue;
    const Dtype* bottom_data = bottom[i]->cpu_data();
    Dtype* top_data = top[i]->mutable_cpu_data();
    ParallelFor(num_, ImageGrain(), [&](int64_t begin, int64_t end) {
      const auto buffer = ColumnBuffer<Dtype>(ColumnBufferSize());
      for (int64_t n = begin; n < end; ++n) {
        const Dtype* input = bottom_data + n * bottom_dim_;
        Dtype* output = top_data + n * top_dim_;
        if (reverse) {
          ConvolveTransposed(input, weights, output, buffer.get());
        } else {
          Convolve(Columns(input, buffer.get()), weights, output);
        }
        if (bias) forward_cpu_bias(output, bias);
      }
    });
  }
}

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::Backward_images(const Blob<Dtype>& weights_blob,
                                                  const vector<Blob<Dtype>*>& top,
                                                  const vector<bool>& propagate_down,
                                                  const vector<Blob<Dtype>*>& bottom) {
  const Precision precision = CpuBackwardPrecision();
  const Dtype* weights = weights_blob.cpu_data();
  const bool reverse = reverse_dimensions();
  const bool to_bias = bias_term_ && this->param_propagate_down_[1];
  const int64_t grain = ImageGrain();
  const int weight_count = this->blobs_[0]->count();
  Dtype* const weight_diff = this->param_propagate_down_[0] ? WeightGradient() : nullptr;
  for (size_t i = 0; i < top.size(); ++i) {
    const Dtype* top_diff = top[i]->cpu_diff();
    if (to_bias) AddBiasGradient(top_diff, num_, this->blobs_[1]->mutable_cpu_diff());
    bool to_weights = weight_diff, to_bottom = propagate_down[i];
    if (WinogradGradients(weights_blob, *top[i], precision, weight_diff, to_bottom, bottom[i])) continue;
    const auto try_engine = [&](Precision tried) {
      to_weights = to_weights && !EngineWeightGradient(*bottom[i], *top[i], tried, weight_diff);
      to_bottom = to_bottom && !EngineBottomGradient(weights_blob, *top[i], tried, bottom[i]);
    };
    try_engine(precision);
    // In floats where there is no fast way in less.
    if (precision != Precision::kFloat) try_engine(Precision::kFloat);
    if (!to_weights && !to_bottom) continue;
    const Dtype* bottom_data = to_weights ? bottom[i]->cpu_data() : nullptr;
    Dtype* bottom_diff = to_bottom ? bottom[i]->mutable_cpu_diff() : nullptr;
    // The first chunk of images adds to the diff itself, the others to sums of their own.
    const int others = to_weights ? ParallelChunks(num_, grain) - 1 : 0;
    vector<Dtype> sums(static_cast<size_t>(others) * weight_count);
    ParallelForChunks(num_, grain, [&](int chunk, int64_t begin, int64_t end) {
      const auto buffer = ColumnBuffer<Dtype>(ColumnBufferSize());
      Dtype* sum = chunk == 0 ? weight_diff : sums.data() + static_cast<size_t>(chunk - 1) * weight_count;
      for (int64_t n = begin; n < end; ++n) {
        const Dtype* top_image = top_diff + n * top_dim_;
        const Dtype* columns = nullptr;
        if (to_weights) {
          const Dtype* bottom_image = bottom_data + n * bottom_dim_;
          columns = Columns(reverse ? top_image : bottom_image, buffer.get());
          AddWeightGradient(columns, reverse ? bottom_image : top_image, sum);
        }
        if (!bottom_diff) continue;
        if (reverse) {
          Convolve(columns ? columns : Columns(top_image, buffer.get()), weights,
                   bottom_diff + n * bottom_dim_);
        } else {
          ConvolveTransposed(top_image, weights, bottom_diff + n * bottom_dim_, buffer.get());
        }
      }
    });
    if (others == 0) continue;
    ParallelFor(weight_count, kElementGrain, [&](int64_t begin, int64_t end) {
      for (int other = 0; other < others; ++other) {
        const Dtype* sum = sums.data() + static_cast<size_t>(other) * weight_count;
        for (int64_t j = begin; j < end; ++j) weight_diff[j] += sum[j];
      }
    });
  }
  if (gradient_taker_) gradient_taker_(0, weight_count, weight_diff);
}

template <typename Dtype>
Dtype* BaseConvolutionLayer<Dtype>::WeightGradient() {
  if (!gradient_taker_) return this->blobs_[0]->mutable_cpu_diff();
  static thread_local ScratchMemory memory;
  const int count = this->blobs_[0]->count();
  auto* const gradient = reinterpret_cast<Dtype*>(memory.Get(sizeof(Dtype) * count));
  caffe_set(count, Dtype(0), gradient);
  return gradient;
}

template <typename Dtype>
bool BaseConvolutionLayer<Dtype>::SetGradientTaker(int blob,
                                                   const typename Layer<Dtype>::GradientTaker& taker) {
  const std::type_info& type = typeid(*this);
  const bool is_known = type == typeid(ConvolutionLayer<Dtype>) ||
                        type == typeid(DeconvolutionLayer<Dtype>) ||
                        type == typeid(BinaryConvolutionLayer<Dtype>);
  if (blob != 0 || !is_known) return false;
  gradient_taker_ = taker;
  return true;
}

INSTANTIATE_CLASS(BaseConvolutionLayer);

}  // namespace caffe
