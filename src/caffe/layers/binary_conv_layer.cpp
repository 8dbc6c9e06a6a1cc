#include "caffe/layers/binary_conv_layer.hpp"

#include <typeinfo>

#include "caffe/layers/cudnn_binary_conv_layer.hpp"
#include "caffe/util/binarize.hpp"
#include "caffe/util/ones.hpp"

namespace caffe {

template <typename Dtype>
void BinaryConvolutionLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom,
                                               const vector<Blob<Dtype>*>& top) {
  ConvolutionLayer<Dtype>::LayerSetUp(bottom, top);
  ReshapeOnes({this->blobs_[0]->count(1)}, &weight_sum_multiplier_);
}

template <typename Dtype>
bool BinaryConvolutionLayer<Dtype>::GetProductShape(lowbit::BinaryProductShape* shape) const {
  const int axes = this->num_spatial_axes_;
  if (axes > 2) return false;
  // Sizes along the last axis but one, and the last; axes that an image lacks are as if they had one element.
  const auto size = [axes](const Blob<int>& sizes, int from_end, int missing) {
    return from_end <= axes ? sizes.cpu_data()[sizes.count() - from_end] : missing;
  };
  shape->channels = this->channels_;
  shape->height = size(this->conv_input_shape_, 2, 1);
  shape->width = size(this->conv_input_shape_, 1, 1);
  shape->outputs = this->num_output_;
  shape->groups = this->group_;
  shape->kernel_h = size(this->kernel_shape_, 2, 1);
  shape->kernel_w = size(this->kernel_shape_, 1, 1);
  shape->stride_h = size(this->stride_, 2, 1);
  shape->stride_w = size(this->stride_, 1, 1);
  shape->pad_h = size(this->pad_, 2, 0);
  shape->pad_w = size(this->pad_, 1, 0);
  shape->dilation_h = size(this->dilation_, 2, 1);
  shape->dilation_w = size(this->dilation_, 1, 1);
  return true;
}

// A subclass of somebody else's may read what it wants.
template <typename Dtype>
static bool IsBinaryConvolution(const BinaryConvolutionLayer<Dtype>& layer) {
#ifdef USE_CUDNN
  if (typeid(layer) == typeid(CuDNNBinaryConvolutionLayer<Dtype>)) return true;
#endif
  return typeid(layer) == typeid(BinaryConvolutionLayer<Dtype>);
}

template <typename Dtype>
bool BinaryConvolutionLayer<Dtype>::ReadsBottomCodes(int bottom_index) const {
  lowbit::BinaryProductShape shape;
  return bottom_index == 0 && IsBinaryConvolution(*this) &&
         this->layer_param_.binary_convolution_param().use_binarization() && GetProductShape(&shape) &&
         integers_.ReadsCodes(shape);
}

template <typename Dtype>
bool BinaryConvolutionLayer<Dtype>::ReadsBottomData(int bottom_index) const {
  lowbit::BinaryProductShape shape;
  return !(ReadsBottomCodes(bottom_index) && GetProductShape(&shape) && integers_.ReadsCodesBackward(shape));
}

template <typename Dtype>
void BinaryConvolutionLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                                                const vector<Blob<Dtype>*>& top) {
  const BinaryConvolutionParameter& param = this->layer_param_.binary_convolution_param();
  if (!param.use_binarization()) return ConvolutionLayer<Dtype>::Forward_cpu(bottom, top);
  lowbit::BinaryProductShape shape;
  if (GetProductShape(&shape) && integers_.Forward(shape, param.use_alpha(), this->blobs_, bottom, top)) {
    return;
  }
  BinarizeWeights(*this->blobs_[0], param.use_alpha(), &alphas_, &binary_weights_);
  this->Forward_images(binary_weights_, bottom, top);
}

template <typename Dtype>
void BinaryConvolutionLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top,
                                                 const vector<bool>& propagate_down,
                                                 const vector<Blob<Dtype>*>& bottom) {
  if (!this->layer_param_.binary_convolution_param().use_binarization()) {
    return ConvolutionLayer<Dtype>::Backward_cpu(top, propagate_down, bottom);
  }
  integers_.FillBinaryWeights(*this->blobs_[0], &alphas_, &binary_weights_);
  this->Backward_images(binary_weights_, top, propagate_down, bottom);
}

#ifdef CPU_ONLY
STUB_GPU(BinaryConvolutionLayer);
#endif

INSTANTIATE_CLASS(BinaryConvolutionLayer);

}  // namespace caffe
