#ifndef CAFFE_IM2COL_LAYER_HPP_
#define CAFFE_IM2COL_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/**
 * @brief Makes the matrix of columns over which a convolution is a matrix product (see
 * caffe/util/im2col.hpp).
 *
 * [images ..., channels, size_1, ..., size_N] to [images ..., channels kernel_1 ... kernel_N, output_1, ...,
 * output_N]. Kernel size, stride, pad, dilation and axis are those of convolution_param.
 */
template <typename Dtype>
class Im2colLayer : public Layer<Dtype> {
 public:
  explicit Im2colLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  /// @throws Error for settings that are missing, ambiguous or out of range.
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  /// @throws Error, naming the sizes, where the kernel does not fit.
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  const char* type() const override { return "Im2col"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

  Blob<int> kernel_shape_;
  Blob<int> stride_;
  Blob<int> pad_;
  Blob<int> dilation_;
  int num_spatial_axes_ = 0;
  int bottom_dim_ = 0;  ///< elements of an image of the bottom
  int top_dim_ = 0;     ///< elements of an image of the top
  int channel_axis_ = 0;
  int num_ = 0;  ///< images
  int channels_ = 0;
  bool force_nd_im2col_ = false;
};

}  // namespace caffe

#endif  // CAFFE_IM2COL_LAYER_HPP_
