#include "caffe/layers/binary_conv_layer.hpp"
#include "caffe/util/backward_precision.hpp"
#include "caffe/util/binarize.hpp"
#include "caffe/util/gpu_precision.hpp"

namespace caffe {

template <typename Dtype>
void BinaryConvolutionLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom,
                                                const vector<Blob<Dtype>*>& top) {
  const BinaryConvolutionParameter& param = this->layer_param_.binary_convolution_param();
  if (!param.use_binarization()) return ConvolutionLayer<Dtype>::Forward_gpu(bottom, top);
  lowbit::BinaryProductShape shape;
  if (GetProductShape(&shape) && integers_.ForwardGpu(shape, param.use_alpha(), this->blobs_, bottom, top)) {
    return;
  }
  integers_.RestoreData(bottom[0]);
  BinarizeNewWeightsGpu(*this->blobs_[0], param.use_alpha(), &seen_, &alphas_, &binary_weights_);
  this->Forward_images_gpu(binary_weights_, bottom, top);
}

template <typename Dtype>
void BinaryConvolutionLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top,
                                                 const vector<bool>& propagate_down,
                                                 const vector<Blob<Dtype>*>& bottom) {
  if (!this->layer_param_.binary_convolution_param().use_binarization()) {
    return ConvolutionLayer<Dtype>::Backward_gpu(top, propagate_down, bottom);
  }
  lowbit::BinaryProductShape shape;
  if (GetProductShape(&shape) &&
      integers_.BackwardInBF16(shape, &alphas_, &binary_weights_, this->blobs_, this->param_propagate_down_,
                               top, propagate_down, bottom)) {
    return;
  }
  integers_.FillBinaryWeights(*this->blobs_[0], &alphas_, &binary_weights_);
  const TF32ForNow tf32(BackwardPrecision() != Precision::kFloat);
  this->Backward_images_gpu(binary_weights_, top, propagate_down, bottom);
}

INSTANTIATE_LAYER_GPU_FUNCS(BinaryConvolutionLayer);

}  // namespace caffe
