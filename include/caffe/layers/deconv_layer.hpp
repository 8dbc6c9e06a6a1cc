#ifndef CAFFE_DECONV_LAYER_HPP_
#define CAFFE_DECONV_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/layers/base_conv_layer.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/**
 * @brief Deconvolution, the transpose (and gradient) of a convolution: enlarges where that would shrink.
 *
 * Each input element adds its weights' kernel, scaled by it, to the output: top[n, o, y stride - pad + k
 * dilation]
 * += weights[c, o, k] bottom[n, c, y], on top of bias[o], with c over the channels of o's group. An output
 * axis has stride (size - 1) + dilation (kernel - 1) + 1 - 2 pad elements. Weights are [channels, num_output
 * / group, kernel_1, ..., kernel_N]. Settings are those of ConvolutionLayer.
 */
template <typename Dtype>
class DeconvolutionLayer : public BaseConvolutionLayer<Dtype> {
 public:
  explicit DeconvolutionLayer(const LayerParameter& param) : BaseConvolutionLayer<Dtype>(param) {}

  const char* type() const override { return "Deconvolution"; }
  bool ReadsTopData(int) const override { return false; }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
  bool reverse_dimensions() override { return true; }
  void compute_output_shape() override;
};

}  // namespace caffe

#endif  // CAFFE_DECONV_LAYER_HPP_
