#include "caffe/layers/binary_inner_product_layer.hpp"

#include "caffe/util/binarize.hpp"
#include "caffe/util/ones.hpp"

namespace caffe {

template <typename Dtype>
void BinaryInnerProductLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom,
                                                const vector<Blob<Dtype>*>& top) {
  CHECK(!this->layer_param_.inner_product_param().transpose())
      << "inner_product_param.transpose is not supported with binary weights: remove it and store the "
         "weights as "
         "num_output x inputs";
  InnerProductLayer<Dtype>::LayerSetUp(bottom, top);
  ReshapeOnes({this->K_}, &weight_sum_multiplier_);
  filter_means_.Reshape({this->N_});
}

template <typename Dtype>
void BinaryInnerProductLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                                                 const vector<Blob<Dtype>*>& top) {
  const BinaryInnerProductParameter& param = this->layer_param_.binary_inner_product_param();
  if (!param.use_binarization()) return InnerProductLayer<Dtype>::Forward_cpu(bottom, top);
  lowbit::BinaryProductShape shape;
  shape.channels = this->K_;
  shape.outputs = this->N_;
  if (integers_.Forward(shape, param.use_alpha(), this->blobs_, bottom, top)) return;
  BinarizeWeights(*this->blobs_[0], param.use_alpha(), &alphas_, &binary_weights_);
  this->Forward_rows(binary_weights_.cpu_data(), bottom, top);
}

template <typename Dtype>
void BinaryInnerProductLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top,
                                                  const vector<bool>& propagate_down,
                                                  const vector<Blob<Dtype>*>& bottom) {
  if (!this->layer_param_.binary_inner_product_param().use_binarization()) {
    return InnerProductLayer<Dtype>::Backward_cpu(top, propagate_down, bottom);
  }
  integers_.FillBinaryWeights(*this->blobs_[0], &alphas_, &binary_weights_);
  this->Backward_rows(binary_weights_.cpu_data(), top, propagate_down, bottom);
}

#ifdef CPU_ONLY
STUB_GPU(BinaryInnerProductLayer);
#endif

INSTANTIATE_CLASS(BinaryInnerProductLayer);
REGISTER_LAYER_CLASS(BinaryInnerProduct);

}  // namespace caffe
