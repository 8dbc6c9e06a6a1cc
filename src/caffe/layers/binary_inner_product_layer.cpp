#include "caffe/layers/binary_inner_product_layer.hpp"

#include <algorithm>
#include <typeinfo>

#include "caffe/util/binarize.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/ones.hpp"
#include "caffe/util/scratch_memory.hpp"

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
lowbit::BinaryProductShape BinaryInnerProductLayer<Dtype>::ProductShape() const {
  lowbit::BinaryProductShape shape;
  shape.channels = this->K_;
  shape.outputs = this->N_;
  return shape;
}

// A subclass of somebody else's may read what it wants.
template <typename Dtype>
bool BinaryInnerProductLayer<Dtype>::ReadsBottomCodes(int bottom_index) const {
  return bottom_index == 0 && typeid(*this) == typeid(BinaryInnerProductLayer<Dtype>) &&
         this->layer_param_.binary_inner_product_param().use_binarization() &&
         integers_.ReadsCodes(ProductShape());
}

template <typename Dtype>
bool BinaryInnerProductLayer<Dtype>::ReadsBottomData(int bottom_index) const {
  return !(ReadsBottomCodes(bottom_index) && integers_.ReadsCodesBackward(ProductShape()));
}

template <typename Dtype>
void BinaryInnerProductLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                                                 const vector<Blob<Dtype>*>& top) {
  const BinaryInnerProductParameter& param = this->layer_param_.binary_inner_product_param();
  if (!param.use_binarization()) return InnerProductLayer<Dtype>::Forward_cpu(bottom, top);
  if (integers_.Forward(ProductShape(), param.use_alpha(), this->blobs_, bottom, top)) return;
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
  if (!integers_.has_unfilled()) {
    return this->Backward_rows(binary_weights_.cpu_data(), top, propagate_down, bottom);
  }
  if (propagate_down[0]) BackwardToBottom(*top[0], bottom[0]);
  this->Backward_parameters(top, bottom);
}

template <typename Dtype>
void BinaryInnerProductLayer<Dtype>::BackwardToBottom(const Blob<Dtype>& top, Blob<Dtype>* bottom) const {
  const int M = this->M_, N = this->N_, K = this->K_, most = this->RowsAtATime();
  static thread_local ScratchMemory memory;
  auto* const weights = reinterpret_cast<Dtype*>(memory.Get(sizeof(Dtype) * static_cast<size_t>(most) * K));
  for (int first = 0; first < N; first += most) {
    const int count = std::min(most, N - first);
    integers_.UnpackRows(*this->blobs_[0], first, count, weights);
    caffe_cpu_gemm<Dtype>(CblasNoTrans, CblasNoTrans, M, K, count, 1, top.cpu_diff() + first, N, weights, K,
                          first > 0, bottom->mutable_cpu_diff(), K);
  }
}

#ifdef CPU_ONLY
STUB_GPU(BinaryInnerProductLayer);
#endif

INSTANTIATE_CLASS(BinaryInnerProductLayer);
REGISTER_LAYER_CLASS(BinaryInnerProduct);

}  // namespace caffe
