#include "caffe/layers/binary_conv_layer.hpp"

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
void BinaryConvolutionLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                                                const vector<Blob<Dtype>*>& top) {
  const BinaryConvolutionParameter& param = this->layer_param_.binary_convolution_param();
  if (!param.use_binarization()) return ConvolutionLayer<Dtype>::Forward_cpu(bottom, top);
  BinarizeWeights(*this->blobs_[0], param.use_alpha(), &alphas_, &binary_weights_);
  this->Forward_images(binary_weights_.cpu_data(), bottom, top);
}

template <typename Dtype>
void BinaryConvolutionLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top,
                                                 const vector<bool>& propagate_down,
                                                 const vector<Blob<Dtype>*>& bottom) {
  if (!this->layer_param_.binary_convolution_param().use_binarization()) {
    return ConvolutionLayer<Dtype>::Backward_cpu(top, propagate_down, bottom);
  }
  this->Backward_images(binary_weights_.cpu_data(), top, propagate_down, bottom);
}

#ifdef CPU_ONLY
STUB_GPU(BinaryConvolutionLayer);
#endif

INSTANTIATE_CLASS(BinaryConvolutionLayer);
REGISTER_LAYER_CLASS(BinaryConvolution);

}  // namespace caffe
