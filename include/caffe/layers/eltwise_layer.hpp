#ifndef CAFFE_ELTWISE_LAYER_HPP_
#define CAFFE_ELTWISE_LAYER_HPP_

#include <algorithm>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/**
 * @brief Combines blobs of one shape element by element: their product, weighted sum (eltwise_param.coeff) or
 * maximum.
 *
 * The gradient of a maximum goes to one of the bottoms that have it: to the first, but to bottom 1 where it
 * is that of bottom 0, too, as in Caffe. For products stable_prod_grad (the default) multiplies the other
 * bottoms, and otherwise the product is divided by the bottom, which is faster and fails at 0.
 */
template <typename Dtype>
class EltwiseLayer : public Layer<Dtype> {
 public:
  explicit EltwiseLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  const char* type() const override { return "Eltwise"; }
  bool ReadsBottomData(int) const override { return op_ == EltwiseParameter_EltwiseOp_PROD; }
  bool ReadsTopData(int) const override { return op_ == EltwiseParameter_EltwiseOp_PROD; }
  /// The gradient of a plain sum is that of each of its terms.
  bool BackwardMayBeInPlace() const override {
    return op_ == EltwiseParameter_EltwiseOp_SUM &&
           std::all_of(coeffs_.begin(), coeffs_.end(), [](Dtype coeff) { return coeff == 1; });
  }
  int MinBottomBlobs() const override { return 2; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

  EltwiseParameter_EltwiseOp op_ = EltwiseParameter_EltwiseOp_SUM;
  vector<Dtype> coeffs_;
  /// Which bottom holds the maximum.
  Blob<int> max_idx_;
  bool stable_prod_grad_ = true;
};

}  // namespace caffe

#endif  // CAFFE_ELTWISE_LAYER_HPP_
