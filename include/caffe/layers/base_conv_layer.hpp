#ifndef CAFFE_BASE_CONVOLUTION_LAYER_HPP_
#define CAFFE_BASE_CONVOLUTION_LAYER_HPP_

#include <cstdint>
#include <memory>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/convolution_engine.hpp"
#include "caffe/util/im2col.hpp"

namespace caffe {

/**
 * @brief What convolution and deconvolution share: geometry, weights and bias, and products over column
 * matrices.
 *
 * Takes blobs of one shape, [images ..., channels, size_1, ..., size_N] with the channels at axis
 * `convolution_param.axis`, and makes as many, [images ..., num_output, output_1, ..., output_N]. Weights are
 * [out, in / group, kernel_1, ..., kernel_N], where for a deconvolution out are the input's channels; the
 * bias has num_output elements. An image's matrix of columns is described in caffe/util/im2col.hpp.
 *
 * The *_gemm and *_bias functions work on one image, in the layer's own column buffer, for layers that derive
 * from this one. Forward_images and Backward_images work on whole batches, several images at once; where
 * `engine` is not CAFFE and values are floats, by oneDNN or, for the gradients of 3x3 kernels, by
 * WinogradBackward if there is a fast way.
 */
template <typename Dtype>
class BaseConvolutionLayer : public Layer<Dtype> {
 public:
  explicit BaseConvolutionLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  /// @throws Error for settings that are missing, ambiguous or out of range, or do not fit the bottom.
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  int MinBottomBlobs() const override { return 1; }
  int MinTopBlobs() const override { return 1; }
  bool EqualNumBottomTopBlobs() const override { return true; }
  /// Of Caffe's own layers for the weights; one that derives from them may add to the diff itself.
  bool SetGradientTaker(int blob, const typename Layer<Dtype>::GradientTaker& taker) override;

 protected:
  /// output = weights * columns of input. skip_im2col: the columns are those of the call before.
  void forward_cpu_gemm(const Dtype* input, const Dtype* weights, Dtype* output, bool skip_im2col = false);
  /// output[c, ...] += bias[c]
  void forward_cpu_bias(Dtype* output, const Dtype* bias);
  /// output = the image whose columns are weights^T * input: the gradient of forward_cpu_gemm by its input.
  void backward_cpu_gemm(const Dtype* input, const Dtype* weights, Dtype* output);
  /// weights += output * (columns of input)^T: the gradient of forward_cpu_gemm by its weights.
  void weight_cpu_gemm(const Dtype* input, const Dtype* output, Dtype* weights);
  /// bias[c] += sum of input[c, ...]
  void backward_cpu_bias(Dtype* bias, const Dtype* input);

#ifndef CPU_ONLY
  // The same on the GPU, where all pointers lead to its memory.
  void forward_gpu_gemm(const Dtype* col_input, const Dtype* weights, Dtype* output,
                        bool skip_im2col = false);
  void forward_gpu_bias(Dtype* output, const Dtype* bias);
  void backward_gpu_gemm(const Dtype* input, const Dtype* weights, Dtype* col_output);
  void weight_gpu_gemm(const Dtype* col_input, const Dtype* output, Dtype* weights);
  void backward_gpu_bias(Dtype* bias, const Dtype* input);

  /// Forward_gpu with these weights, which have the shape of blobs_[0], and the layer's bias.
  virtual void Forward_images_gpu(const Blob<Dtype>& weights, const vector<Blob<Dtype>*>& bottom,
                                  const vector<Blob<Dtype>*>& top);
  /// Backward_gpu with these weights; see Backward_images.
  virtual void Backward_images_gpu(const Blob<Dtype>& weights, const vector<Blob<Dtype>*>& top,
                                   const vector<bool>& propagate_down, const vector<Blob<Dtype>*>& bottom);
#endif

  /// Forward_cpu with these weights, which have the shape of blobs_[0], and the layer's bias.
  void Forward_images(const Blob<Dtype>& weights, const vector<Blob<Dtype>*>& bottom,
                      const vector<Blob<Dtype>*>& top);
  /**
   * @brief Backward_cpu with these weights.
   *
   * Adds the gradients by the weights and the bias to the diffs of blobs_[0] and blobs_[1], or hands that by
   * the weights to the one who takes it (Layer::SetGradientTaker). Sums over the
   * images are in an order that depends on the number of threads only. In CpuBackwardPrecision() are those
   * products for which there is a library (see ConvolutionEngine) and Winograd's.
   */
  void Backward_images(const Blob<Dtype>& weights, const vector<Blob<Dtype>*>& top,
                       const vector<bool>& propagate_down, const vector<Blob<Dtype>*>& bottom);

  /// Dimension i of an input image: the channels for 0, then the spatial axes.
  inline int input_shape(int i) { return (*bottom_shape_)[channel_axis_ + i]; }
  /// Whether this is a deconvolution: its bottom takes the place of a convolution's top.
  virtual bool reverse_dimensions() = 0;
  /// Sets output_shape_ for the bottom's shape.
  virtual void compute_output_shape() = 0;
  /// Sets output_shape_ by a function of one axis's sizes (see caffe/util/conv_geometry.hpp).
  void set_output_shape(int (*output_size)(int size, int kernel, int pad, int stride, int dilation));

  Blob<int> kernel_shape_;
  Blob<int> stride_;
  Blob<int> pad_;
  Blob<int> dilation_;
  /// Channels and spatial axes of the convolution's input (of the top, for a deconvolution).
  Blob<int> conv_input_shape_;
  /// Shape of an image's columns, all groups together.
  vector<int> col_buffer_shape_;
  /// The output's spatial axes.
  vector<int> output_shape_;
  const vector<int>* bottom_shape_ = nullptr;

  int num_spatial_axes_ = 0;
  int bottom_dim_ = 0;  ///< elements of an image of the bottom
  int top_dim_ = 0;     ///< elements of an image of the top
  int channel_axis_ = 0;
  int num_ = 0;  ///< images of a bottom
  int channels_ = 0;
  int group_ = 0;
  int out_spatial_dim_ = 0;
  int weight_offset_ = 0;  ///< elements of a group's weights
  int num_output_ = 0;
  bool bias_term_ = false;
  /// Whether columns and image are the same: the kernel is a single element, without stride and padding.
  bool is_1x1_ = false;
  bool force_nd_im2col_ = false;

 private:
  // The same on buffers that the caller names. Where is_1x1_, the columns are the image.
  const Dtype* Columns(const Dtype* image, Dtype* buffer) const;
  void Convolve(const Dtype* columns, const Dtype* weights, Dtype* output) const;
  void ConvolveTransposed(const Dtype* output, const Dtype* weights, Dtype* image, Dtype* buffer) const;
  void AddWeightGradient(const Dtype* columns, const Dtype* output, Dtype* weights) const;
  void AddBiasGradient(const Dtype* top_diff, int64_t images, Dtype* bias) const;
  int64_t ColumnBufferSize() const { return is_1x1_ ? 0 : group_ * static_cast<int64_t>(col_offset_); }
  Dtype* OwnColumnBuffer();
  int64_t ImageGrain() const;
  void MakeEngine();
  ConvolutionImages EngineImages() const;
  // A whole batch by the library; false where the code here must do it.
  bool EngineForward(const Blob<Dtype>& weights, const Dtype* bias, const Blob<Dtype>& bottom,
                     Blob<Dtype>* top);
  bool EngineWeightGradient(const Blob<Dtype>& bottom, const Blob<Dtype>& top, Precision precision,
                            Dtype* weight_diff);
  bool EngineBottomGradient(const Blob<Dtype>& weights, const Blob<Dtype>& top, Precision precision,
                            Blob<Dtype>* bottom);
  // Both gradients of a batch that are wanted, by WinogradBackward; false where that is of no use.
  bool WinogradGradients(const Blob<Dtype>& weights, const Blob<Dtype>& top, Precision precision,
                         Dtype* weight_diff, bool to_bottom, Blob<Dtype>* bottom);
  // Where the gradient by the weights is added up.
  Dtype* WeightGradient();
#ifndef CPU_ONLY
  // The products of several images on the GPU.
  class GpuProducts;
  class GpuImages;
  Dtype* OwnGpuColumnBuffer();
#endif

  int conv_out_channels_ = 0;
  int conv_in_channels_ = 0;
  int conv_out_spatial_dim_ = 0;
  int kernel_dim_ = 0;     // rows of a group's columns
  int col_offset_ = 0;     // elements of a group's columns
  int output_offset_ = 0;  // elements of a group's output
  Blob<Dtype> col_buffer_;
  /// Null where the code here computes.
  std::unique_ptr<ConvolutionEngine> engine_;
  bool may_use_winograd_ = false;
  /// Null where the gradient by the weights is added to their diff.
  typename Layer<Dtype>::GradientTaker gradient_taker_;
};

}  // namespace caffe

#endif  // CAFFE_BASE_CONVOLUTION_LAYER_HPP_
