#include "caffe/layers/binary_inner_product_layer.hpp"
#include "caffe/util/backward_precision.hpp"
#include "caffe/util/binarize.hpp"
#include "caffe/util/gpu_precision.hpp"

namespace caffe {

template <typename Dtype>
void BinaryInnerProductLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom,
                                                 const vector<Blob<Dtype>*>& top) {
  const BinaryInnerProductParameter& param = this->layer_param_.binary_inner_product_param();
  if (!param.use_binarization()) return InnerProductLayer<Dtype>::Forward_gpu(bottom, top);
  if (integers_.ForwardGpu(ProductShape(), param.use_alpha(), this->blobs_, bottom, top)) return;
  integers_.RestoreData(bottom[0]);
  BinarizeNewWeightsGpu(*this->blobs_[0], param.use_alpha(), &seen_, &alphas_, &binary_weights_);
  this->Forward_rows_gpu(binary_weights_.gpu_data(), bottom, top);
}

template <typename Dtype>
void BinaryInnerProductLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top,
                                                  const vector<bool>& propagate_down,
                                                  const vector<Blob<Dtype>*>& bottom) {
  if (!this->layer_param_.binary_inner_product_param().use_binarization()) {
    return InnerProductLayer<Dtype>::Backward_gpu(top, propagate_down, bottom);
  }
  if (integers_.BackwardInBF16(ProductShape(), &alphas_, &binary_weights_, this->blobs_,
                               this->param_propagate_down_, top, propagate_down, bottom)) {
    return;
  }
  integers_.FillBinaryWeights(*this->blobs_[0], &alphas_, &binary_weights_);
  const TF32ForNow tf32(BackwardPrecision() != Precision::kFloat);
  this->Backward_rows_gpu(binary_weights_.gpu_data(), top, propagate_down, bottom);
}

INSTANTIATE_LAYER_GPU_FUNCS(BinaryInnerProductLayer);

}  // namespace caffe
