#ifndef CAFFE_UTIL_CUDNN_CONVOLUTION_HPP_
#define CAFFE_UTIL_CUDNN_CONVOLUTION_HPP_

/// @file
/// Convolutions by cuDNN, where Caffe is built with it (USE_CUDNN).

#include "caffe/util/cudnn.hpp"

#ifdef USE_CUDNN

#include <array>
#include <memory>
#include <vector>

namespace caffe {
namespace cudnn {

/// Images, how they are convolved, and what comes out. A deconvolution's bottom is such an output.
struct ConvolutionShape {
  int num;
  int in_channels, in_height, in_width;
  int out_channels, out_height, out_width;
  int group;
  int kernel_h, kernel_w;
  int stride_h, stride_w;
  int pad_h, pad_w;
  int dilation_h, dilation_w;
};

/**
 * @brief Convolution and its gradients for batches of one shape.
 *
 * Inputs are [num, in_channels, in_height, in_width], outputs likewise, weights [out_channels, in_channels /
 * group, kernel_h, kernel_w], all dense and in the GPU's memory. Floats are multiplied as floats, or as TF32
 * where AllowTF32 says so.
 *
 * For each shape the algorithm is chosen that measures fastest on the data at hand, of those that give the
 * same result every time and get by with the memory allowed: 1 GiB or a quarter of what is free, or as many
 * MB as the environment variable CAFFE_CUDNN_WORKSPACE_MB says, or what there is where that is less. The
 * choice is kept for all layers of the process. As two algorithms may be equally fast and round differently,
 * another run can choose another one; with CAFFE_CUDNN_SEARCH=0 cuDNN's rules of thumb choose, always the
 * same.
 */
template <typename Dtype>
class Convolution {
 public:
  Convolution();
  ~Convolution();

  /// Must come first, and with a shape that is not empty.
  void SetShape(const ConvolutionShape& shape);

  // Each returns false where cuDNN has no way; what is assigned to then has undefined values, what is added
  // to is unchanged.

  /// output = input convolved with the weights.
  bool Convolve(const Dtype* input, const Dtype* weights, Dtype* output);
  /// input = the gradient of Convolve by its input, for the gradient `output` of its output.
  bool ConvolveTransposed(const Dtype* output, const Dtype* weights, Dtype* input);
  /// weight_diff += the gradient of Convolve by its weights, for the gradient `output` of its output.
  bool AddWeightGradient(const Dtype* input, const Dtype* output, Dtype* weight_diff);

  /// images[n, c, ...] += bias[c] for outputs, or for inputs.
  void AddBias(bool to_inputs, const Dtype* bias, Dtype* images);
  /// bias_diff[c] += sum of images[n, c, ...].
  void AddBiasGradient(bool of_inputs, const Dtype* images, Dtype* bias_diff);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace cudnn

/**
 * @brief A layer that derives from BaseConvolutionLayer, with cuDNN for the GPU.
 *
 * cuDNN convolves images of up to two axes; what it has no way for is Base's on the GPU, too.
 */
template <typename Base, typename Dtype>
class CuDNNConvolutionOf : public Base {
 public:
  explicit CuDNNConvolutionOf(const LayerParameter& param) : Base(param) {}

 protected:
  void Forward_images_gpu(const Blob<Dtype>& weights, const vector<Blob<Dtype>*>& bottom,
                          const vector<Blob<Dtype>*>& top) override {
    if (!SetShape(*bottom[0])) return Base::Forward_images_gpu(weights, bottom, top);
    const bool reverse = this->reverse_dimensions();
    const Dtype* w = weights.gpu_data();
    for (size_t i = 0; i < bottom.size(); ++i) {
      const Dtype* x = bottom[i]->gpu_data();
      Dtype* y = top[i]->mutable_gpu_data();
      if (!(reverse ? convolution_.ConvolveTransposed(x, w, y) : convolution_.Convolve(x, w, y))) {
        return Base::Forward_images_gpu(weights, bottom, top);
      }
      if (this->bias_term_) convolution_.AddBias(reverse, this->blobs_[1]->gpu_data(), y);
    }
  }

  void Backward_images_gpu(const Blob<Dtype>& weights, const vector<Blob<Dtype>*>& top,
                           const vector<bool>& propagate_down, const vector<Blob<Dtype>*>& bottom) override {
    if (!SetShape(*bottom[0])) return Base::Backward_images_gpu(weights, top, propagate_down, bottom);
    const bool reverse = this->reverse_dimensions();
    // First what can be done again, should there be no way for the rest.
    for (size_t i = 0; i < bottom.size(); ++i) {
      if (!propagate_down[i]) continue;
      const Dtype *dy = top[i]->gpu_diff(), *w = weights.gpu_data();
      Dtype* dx = bottom[i]->mutable_gpu_diff();
      if (!(reverse ? convolution_.Convolve(dy, w, dx) : convolution_.ConvolveTransposed(dy, w, dx))) {
        return Base::Backward_images_gpu(weights, top, propagate_down, bottom);
      }
    }
    for (size_t i = 0; i < bottom.size() && this->param_propagate_down_[0]; ++i) {
      const Dtype *x = bottom[i]->gpu_data(), *dy = top[i]->gpu_diff();
      Dtype* dw = this->blobs_[0]->mutable_gpu_diff();
      if (!(reverse ? convolution_.AddWeightGradient(dy, x, dw)
                    : convolution_.AddWeightGradient(x, dy, dw))) {
        return Base::Backward_images_gpu(weights, top, propagate_down, bottom);
      }
    }
    for (size_t i = 0; i < bottom.size() && this->bias_term_ && this->param_propagate_down_[1]; ++i) {
      convolution_.AddBiasGradient(reverse, top[i]->gpu_diff(), this->blobs_[1]->mutable_gpu_diff());
    }
  }

 private:
  // Takes the bottoms' shape; false where cuDNN cannot.
  bool SetShape(const Blob<Dtype>& bottom) {
    const int axes = this->num_spatial_axes_;
    if (axes > 2 || bottom.count() == 0) return false;
    // Sizes along the last axis but one, and the last; axes that an image lacks have one element.
    const auto size = [axes](const Blob<int>& sizes, int from_end, int missing) {
      return from_end <= axes ? sizes.cpu_data()[sizes.count() - from_end] : missing;
    };
    const auto output = [&](int from_end) {
      return from_end <= axes ? this->col_buffer_shape_[this->col_buffer_shape_.size() - from_end] : 1;
    };
    cudnn::ConvolutionShape shape;
    shape.num = this->num_;
    shape.in_channels = this->conv_input_shape_.cpu_data()[0];
    shape.in_height = size(this->conv_input_shape_, 2, 1);
    shape.in_width = size(this->conv_input_shape_, 1, 1);
    shape.out_channels = this->reverse_dimensions() ? this->channels_ : this->num_output_;
    shape.out_height = output(2);
    shape.out_width = output(1);
    shape.group = this->group_;
    shape.kernel_h = size(this->kernel_shape_, 2, 1);
    shape.kernel_w = size(this->kernel_shape_, 1, 1);
    shape.stride_h = size(this->stride_, 2, 1);
    shape.stride_w = size(this->stride_, 1, 1);
    shape.pad_h = size(this->pad_, 2, 0);
    shape.pad_w = size(this->pad_, 1, 0);
    shape.dilation_h = size(this->dilation_, 2, 1);
    shape.dilation_w = size(this->dilation_, 1, 1);
    convolution_.SetShape(shape);
    return true;
  }

  cudnn::Convolution<Dtype> convolution_;
};

}  // namespace caffe

#endif  // USE_CUDNN

#endif  // CAFFE_UTIL_CUDNN_CONVOLUTION_HPP_
