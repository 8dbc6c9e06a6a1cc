#include "caffe/layers/base_conv_layer.hpp"

#include <algorithm>
#include <vector>

#include "caffe/util/channel_functions.hpp"
#include "caffe/util/channel_kernels.cuh"
#include "caffe/util/column_axes.hpp"
#include "caffe/util/gpu_launch.cuh"
#include "caffe/util/im2col.hpp"
#include "caffe/util/math_functions.hpp"

namespace caffe {

namespace {

// What the columns of the images that are multiplied at once may take: enough columns for a product to fill a
// GPU, few enough to stay in its cache until they are read.
constexpr int64_t kColumnBytes = 32 << 20;

cublasOperation_t Operation(CBLAS_TRANSPOSE transpose) {
  return transpose == CblasNoTrans ? CUBLAS_OP_N : CUBLAS_OP_T;
}

cublasStatus_t GemmStridedBatched(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b,
                                  int m, int n, int k, const float* alpha, const float* a, int lda,
                                  long long step_a, const float* b, int ldb, long long step_b,
                                  const float* beta, float* c, int ldc, long long step_c, int count) {
  return cublasSgemmStridedBatched(handle, op_a, op_b, m, n, k, alpha, a, lda, step_a, b, ldb, step_b, beta,
                                   c, ldc, step_c, count);
}
cublasStatus_t GemmStridedBatched(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b,
                                  int m, int n, int k, const double* alpha, const double* a, int lda,
                                  long long step_a, const double* b, int ldb, long long step_b,
                                  const double* beta, double* c, int ldc, long long step_c, int count) {
  return cublasDgemmStridedBatched(handle, op_a, op_b, m, n, k, alpha, a, lda, step_a, b, ldb, step_b, beta,
                                   c, ldc, step_c, count);
}

// Matrices that lie one after the other, `step` elements apart.
template <typename Dtype>
struct Matrices {
  Dtype* first;
  int64_t step;
};

// C_i = op(A_i) op(B_i) + beta C_i for `count` matrices, row-major and dense, with C_i M x N and K the inner
// dimension.
template <typename Dtype>
void Multiply(CBLAS_TRANSPOSE trans_a, CBLAS_TRANSPOSE trans_b, int M, int N, int K, Matrices<const Dtype> A,
              Matrices<const Dtype> B, Dtype beta, Matrices<Dtype> C, int count) {
  if (count == 1) {
    caffe_gpu_gemm<Dtype>(trans_a, trans_b, M, N, K, 1, A.first, B.first, beta, C.first);
    return;
  }
  const cublasHandle_t handle = Caffe::cublas_handle();
  CUBLAS_CHECK(cublasSetPointerMode(handle, CUBLAS_POINTER_MODE_HOST));
  const Dtype one = 1;
  // cuBLAS counts by columns: the product of the transposed, in the other order.
  CUBLAS_CHECK(GemmStridedBatched(handle, Operation(trans_b), Operation(trans_a), N, M, K, &one, B.first,
                                  trans_b == CblasNoTrans ? N : K, B.step, A.first,
                                  trans_a == CblasNoTrans ? K : M, A.step, &beta, C.first, N, C.step, count));
}

// to[x, y, i] = from[y, x, i] + bias[y], the bias where there is one.
template <typename Dtype>
struct SwapAxes {
  IntDivisor y_size, inner;
  int x_size, inner_size;
  const Dtype* from;
  const Dtype* bias;
  Dtype* to;

  __device__ void operator()(int at) const {
    int x = at;
    const int i = inner.Split(&x);
    const int y = y_size.Split(&x);
    const Dtype value = from[(y * x_size + x) * inner_size + i];
    to[at] = bias ? value + bias[y] : value;
  }
};

template <typename Dtype>
void Swap(int x_size, int y_size, int inner, const Dtype* from, const Dtype* bias, Dtype* to) {
  GpuForEach(static_cast<int64_t>(x_size) * y_size * inner,
             SwapAxes<Dtype>{IntDivisor(y_size), IntDivisor(inner), x_size, inner, from, bias, to});
}

template <typename Dtype>
void AddBias(int images, int channels, int inner, const Dtype* bias, Dtype* data) {
  GpuMapChannels({images, channels, inner}, ShiftedChannels<Dtype>{data, bias}, data);
}

template <typename Dtype>
void AddBiasSums(int images, int channels, int inner, const Dtype* diff, Dtype* bias_diff) {
  GpuSumChannels<Dtype>({images, channels, inner}, ChannelValues<Dtype>{diff},
                        StoreSum<Dtype>{bias_diff, true});
}

}  // namespace

// A convolution's input, its output and its weights are called so here for a deconvolution too, whose bottom
// is the output. A matrix of outputs is of channels x images x places, as the columns are.
template <typename Dtype>
class BaseConvolutionLayer<Dtype>::GpuProducts {
 public:
  explicit GpuProducts(const BaseConvolutionLayer& layer)
      : group_(layer.group_),
        in_channels_(layer.conv_in_channels_),
        out_channels_(layer.conv_out_channels_),
        kernel_dim_(layer.kernel_dim_),
        places_(layer.conv_out_spatial_dim_),
        is_1x1_(layer.is_1x1_) {
    if (is_1x1_) return;
    axes_ = MakeColumnAxes(layer.num_spatial_axes_, layer.conv_input_shape_.cpu_data(),
                           layer.col_buffer_shape_.data(), layer.kernel_shape_.cpu_data(),
                           layer.pad_.cpu_data(), layer.stride_.cpu_data(), layer.dilation_.cpu_data());
  }

  bool is_1x1() const { return is_1x1_; }
  int places() const { return places_; }
  int in_channels() const { return in_channels_; }
  int out_channels() const { return out_channels_; }
  // Elements of an image's.
  int64_t columns_size() const { return static_cast<int64_t>(group_) * kernel_dim_ * places_; }
  int64_t output_size() const { return static_cast<int64_t>(out_channels_) * places_; }

  void ToColumns(int images, const Dtype* input, Dtype* columns) const {
    if (is_1x1_) {
      Swap<Dtype>(in_channels_, images, places_, input, nullptr, columns);
    } else {
      images_to_columns_gpu(axes_, images, in_channels_, input, columns);
    }
  }
  // Not where is_1x1.
  void ToImages(int images, const Dtype* columns, const Dtype* bias, Dtype* input) const {
    columns_to_images_gpu(axes_, images, in_channels_, columns, bias, input);
  }

  // Between the matrices of columns and of outputs.
  void Convolve(int images, const Dtype* columns, const Dtype* weights, Dtype* output) const {
    const int width = images * places_;
    Multiply<Dtype>(CblasNoTrans, CblasNoTrans, group_outputs(), width, kernel_dim_, {weights, weight_step()},
                    {columns, Step(kernel_dim_, width)}, 0, {output, Step(group_outputs(), width)}, group_);
  }
  void ConvolveTransposed(int images, const Dtype* output, const Dtype* weights, Dtype* columns) const {
    const int width = images * places_;
    Multiply<Dtype>(CblasTrans, CblasNoTrans, kernel_dim_, width, group_outputs(), {weights, weight_step()},
                    {output, Step(group_outputs(), width)}, 0, {columns, Step(kernel_dim_, width)}, group_);
  }
  void AddWeightGradient(int images, const Dtype* columns, const Dtype* output, Dtype* weights) const {
    const int width = images * places_;
    Multiply<Dtype>(CblasNoTrans, CblasTrans, group_outputs(), kernel_dim_, width,
                    {output, Step(group_outputs(), width)}, {columns, Step(kernel_dim_, width)}, 1,
                    {weights, weight_step()}, group_);
  }

  // Where is_1x1, between images as they lie.
  void ConvolveImages(int images, const Dtype* input, const Dtype* weights, Dtype* output) const {
    if (images <= group_) {
      for (int n = 0; n < images; ++n) {
        Convolve(1, input + n * columns_size(), weights, output + n * output_size());
      }
      return;
    }
    for (int g = 0; g < group_; ++g) {
      Multiply<Dtype>(CblasNoTrans, CblasNoTrans, group_outputs(), places_, kernel_dim_,
                      {weights + g * weight_step(), 0},
                      {input + g * Step(kernel_dim_, places_), columns_size()}, 0,
                      {output + g * Step(group_outputs(), places_), output_size()}, images);
    }
  }
  void ConvolveImagesTransposed(int images, const Dtype* output, const Dtype* weights, Dtype* input) const {
    if (images <= group_) {
      for (int n = 0; n < images; ++n) {
        ConvolveTransposed(1, output + n * output_size(), weights, input + n * columns_size());
      }
      return;
    }
    for (int g = 0; g < group_; ++g) {
      Multiply<Dtype>(CblasTrans, CblasNoTrans, kernel_dim_, places_, group_outputs(),
                      {weights + g * weight_step(), 0},
                      {output + g * Step(group_outputs(), places_), output_size()}, 0,
                      {input + g * Step(kernel_dim_, places_), columns_size()}, images);
    }
  }

 private:
  int group_outputs() const { return out_channels_ / group_; }
  int64_t weight_step() const { return Step(group_outputs(), kernel_dim_); }
  static int64_t Step(int rows, int columns) { return static_cast<int64_t>(rows) * columns; }

  int group_, in_channels_, out_channels_;
  int kernel_dim_;  // rows of a group's columns
  int places_;      // of an image's output
  bool is_1x1_;
  std::vector<ColumnAxis> axes_;
};

// The same for as many images as fit into the room for columns, which this has.
template <typename Dtype>
class BaseConvolutionLayer<Dtype>::GpuImages {
 public:
  // to_weights: whether gradients by the weights are to be summed.
  GpuImages(const BaseConvolutionLayer& layer, bool to_weights)
      : products_(layer),
        most_(MostImages(layer, to_weights || !products_.is_1x1())),
        columns_(products_.is_1x1() && !to_weights ? 0 : most_ * products_.columns_size()),
        output_(most_ == 1 || (products_.is_1x1() && !to_weights) ? 0 : most_ * products_.output_size()) {}

  int most() const { return most_; }

  // output = the convolution of input. `columns`, where not null, are the input's.
  void Convolve(int images, const Dtype* input, const Dtype* columns, const Dtype* weights, const Dtype* bias,
                Dtype* output) {
    if (!products_.is_1x1() && images > 1) {
      if (!columns) columns = Columns(images, input);
      products_.Convolve(images, columns, weights, output_.get());
      Swap<Dtype>(images, products_.out_channels(), products_.places(), output_.get(), bias, output);
      return;
    }
    if (products_.is_1x1()) {
      products_.ConvolveImages(images, input, weights, output);
    } else {
      products_.Convolve(1, columns ? columns : Columns(1, input), weights, output);
    }
    if (bias) AddBias(images, products_.out_channels(), products_.places(), bias, output);
  }

  // input = what the convolution is the transpose of. `matrix`, where not null, is the output's.
  void ConvolveTransposed(int images, const Dtype* output, const Dtype* matrix, const Dtype* weights,
                          const Dtype* bias, Dtype* input) {
    if (products_.is_1x1()) {
      products_.ConvolveImagesTransposed(images, output, weights, input);
      if (bias) AddBias(images, products_.in_channels(), products_.places(), bias, input);
      return;
    }
    products_.ConvolveTransposed(images, matrix ? matrix : OutputMatrix(images, output), weights,
                                 columns_.get());
    products_.ToImages(images, columns_.get(), bias, input);
  }

  void AddWeightGradient(int images, const Dtype* columns, const Dtype* matrix, Dtype* weights) {
    products_.AddWeightGradient(images, columns, matrix, weights);
  }

  // Both until the next call. Those of one image may be the image itself.
  const Dtype* Columns(int images, const Dtype* input) {
    if (products_.is_1x1() && images == 1) return input;
    products_.ToColumns(images, input, columns_.get());
    return columns_.get();
  }
  const Dtype* OutputMatrix(int images, const Dtype* output) {
    if (images == 1) return output;
    Swap<Dtype>(products_.out_channels(), images, products_.places(), output, nullptr, output_.get());
    return output_.get();
  }

 private:
  int MostImages(const BaseConvolutionLayer& layer, bool columns) const {
    if (!columns) return std::max(layer.num_, 1);
    const int64_t bytes = std::max<int64_t>(products_.columns_size() * sizeof(Dtype), 1);
    return static_cast<int>(std::max<int64_t>(std::min<int64_t>(kColumnBytes / bytes, layer.num_), 1));
  }

  GpuProducts products_;
  int most_;
  GpuArray<Dtype> columns_, output_;
};

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::forward_gpu_gemm(const Dtype* col_input, const Dtype* weights,
                                                   Dtype* output, bool skip_im2col) {
  const GpuProducts products(*this);
  if (is_1x1_) return products.Convolve(1, col_input, weights, output);
  Dtype* columns = OwnGpuColumnBuffer();
  if (!skip_im2col) products.ToColumns(1, col_input, columns);
  products.Convolve(1, columns, weights, output);
}

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::forward_gpu_bias(Dtype* output, const Dtype* bias) {
  AddBias(1, num_output_, out_spatial_dim_, bias, output);
}

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::backward_gpu_gemm(const Dtype* input, const Dtype* weights,
                                                    Dtype* col_output) {
  const GpuProducts products(*this);
  if (is_1x1_) return products.ConvolveTransposed(1, input, weights, col_output);
  Dtype* columns = OwnGpuColumnBuffer();
  products.ConvolveTransposed(1, input, weights, columns);
  products.ToImages(1, columns, nullptr, col_output);
}

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::weight_gpu_gemm(const Dtype* col_input, const Dtype* output,
                                                  Dtype* weights) {
  const GpuProducts products(*this);
  if (is_1x1_) return products.AddWeightGradient(1, col_input, output, weights);
  Dtype* columns = OwnGpuColumnBuffer();
  products.ToColumns(1, col_input, columns);
  products.AddWeightGradient(1, columns, output, weights);
}

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::backward_gpu_bias(Dtype* bias, const Dtype* input) {
  AddBiasSums(1, num_output_, out_spatial_dim_, input, bias);
}

template <typename Dtype>
Dtype* BaseConvolutionLayer<Dtype>::OwnGpuColumnBuffer() {
  col_buffer_.Reshape(col_buffer_shape_);
  return col_buffer_.mutable_gpu_data();
}

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::Forward_images_gpu(const Blob<Dtype>& weights_blob,
                                                     const vector<Blob<Dtype>*>& bottom,
                                                     const vector<Blob<Dtype>*>& top) {
  const Dtype* weights = weights_blob.gpu_data();
  const Dtype* bias = bias_term_ ? this->blobs_[1]->gpu_data() : nullptr;
  GpuImages work(*this, false);
  for (size_t i = 0; i < bottom.size(); ++i) {
    const Dtype* bottom_data = bottom[i]->gpu_data();
    Dtype* top_data = top[i]->mutable_gpu_data();
    for (int n = 0; n < num_; n += work.most()) {
      const int images = std::min(work.most(), num_ - n);
      const Dtype* input = bottom_data + static_cast<int64_t>(n) * bottom_dim_;
      Dtype* output = top_data + static_cast<int64_t>(n) * top_dim_;
      if (reverse_dimensions()) {
        work.ConvolveTransposed(images, input, nullptr, weights, bias, output);
      } else {
        work.Convolve(images, input, nullptr, weights, bias, output);
      }
    }
  }
}

template <typename Dtype>
void BaseConvolutionLayer<Dtype>::Backward_images_gpu(const Blob<Dtype>& weights_blob,
                                                      const vector<Blob<Dtype>*>& top,
                                                      const vector<bool>& propagate_down,
                                                      const vector<Blob<Dtype>*>& bottom) {
  const Dtype* weights = weights_blob.gpu_data();
  const bool reverse = reverse_dimensions();
  const bool to_bias = bias_term_ && this->param_propagate_down_[1];
  const bool to_weights = this->param_propagate_down_[0];
  GpuImages work(*this, to_weights);
  for (size_t i = 0; i < top.size(); ++i) {
    const Dtype* top_diff = top[i]->gpu_diff();
    if (to_bias) {
      AddBiasSums(num_, num_output_, out_spatial_dim_, top_diff, this->blobs_[1]->mutable_gpu_diff());
    }
    if (!to_weights && !propagate_down[i]) continue;
    const Dtype* bottom_data = to_weights ? bottom[i]->gpu_data() : nullptr;
    Dtype* bottom_diff = propagate_down[i] ? bottom[i]->mutable_gpu_diff() : nullptr;
    Dtype* weight_diff = to_weights ? this->blobs_[0]->mutable_gpu_diff() : nullptr;
    for (int n = 0; n < num_; n += work.most()) {
      const int images = std::min(work.most(), num_ - n);
      const int64_t bottom_at = static_cast<int64_t>(n) * bottom_dim_;
      const Dtype* top_images = top_diff + static_cast<int64_t>(n) * top_dim_;
      const Dtype *columns = nullptr, *matrix = nullptr;
      if (to_weights) {
        const Dtype* bottom_images = bottom_data + bottom_at;
        columns = work.Columns(images, reverse ? top_images : bottom_images);
        matrix = work.OutputMatrix(images, reverse ? bottom_images : top_images);
        work.AddWeightGradient(images, columns, matrix, weight_diff);
      }
      if (!bottom_diff) continue;
      if (reverse) {
        work.Convolve(images, top_images, columns, weights, nullptr, bottom_diff + bottom_at);
      } else {
        work.ConvolveTransposed(images, top_images, matrix, weights, nullptr, bottom_diff + bottom_at);
      }
    }
  }
}

#define INSTANTIATE_CONVOLUTION(Dtype)                                                                   \
  template void BaseConvolutionLayer<Dtype>::forward_gpu_gemm(const Dtype*, const Dtype*, Dtype*, bool); \
  template void BaseConvolutionLayer<Dtype>::forward_gpu_bias(Dtype*, const Dtype*);                     \
  template void BaseConvolutionLayer<Dtype>::backward_gpu_gemm(const Dtype*, const Dtype*, Dtype*);      \
  template void BaseConvolutionLayer<Dtype>::weight_gpu_gemm(const Dtype*, const Dtype*, Dtype*);        \
  template void BaseConvolutionLayer<Dtype>::backward_gpu_bias(Dtype*, const Dtype*);                    \
  template void BaseConvolutionLayer<Dtype>::Forward_images_gpu(                                         \
      const Blob<Dtype>&, const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&);                     \
  template void BaseConvolutionLayer<Dtype>::Backward_images_gpu(                                        \
      const Blob<Dtype>&, const vector<Blob<Dtype>*>&, const vector<bool>&, const vector<Blob<Dtype>*>&)
INSTANTIATE_CONVOLUTION(float);
INSTANTIATE_CONVOLUTION(double);
#undef INSTANTIATE_CONVOLUTION

}  // namespace caffe
