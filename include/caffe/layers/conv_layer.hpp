#ifndef CAFFE_CONV_LAYER_HPP_
#define CAFFE_CONV_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/layers/base_conv_layer.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/**
 * @brief Convolution over any number of spatial axes (cross-correlation: the kernel is not flipped).
 *
 * top[n, o, y] = bias[o] + sum over c, k of weights[o, c, k] bottom[n, c, y stride - pad + k dilation], with
 * c over the channels of o's group, y and k over all spatial axes, and 0 outside the bottom.
 *
 * convolution_param: num_output; kernel_size, stride (1), pad (0), dilation (1), for all spatial axes or
 * each, or kernel_h, kernel_w and so on; group (1); bias_term (true); weight_filler, bias_filler; axis (1),
 * of the channels. `engine`: CAFFE computes by this project's own code and BLAS. On the CPU, DEFAULT and
 * CUDNN do so by oneDNN, where it was built in, values are floats and there is a fast way; on a GPU by cuDNN,
 * with DEFAULT where it was built in, up to two spatial axes, and not with `force_nd_im2col`, which changes
 * nothing else.
 */
template <typename Dtype>
class ConvolutionLayer : public BaseConvolutionLayer<Dtype> {
 public:
  explicit ConvolutionLayer(const LayerParameter& param) : BaseConvolutionLayer<Dtype>(param) {}

  const char* type() const override { return "Convolution"; }
  bool ReadsTopData(int) const override { return false; }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
  bool reverse_dimensions() override { return false; }
  void compute_output_shape() override;
};

}  // namespace caffe

#endif  // CAFFE_CONV_LAYER_HPP_
