#ifndef CAFFE_BINARY_INNER_PRODUCT_LAYER_HPP_
#define CAFFE_BINARY_INNER_PRODUCT_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/layers/inner_product_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/integer_product.hpp"
#include "caffe/util/seen_memory.hpp"

namespace caffe {

/**
 * @brief Fully connected layer with binarized weights (HWGQ-Net: Cai et al., CVPR 2017, section 3).
 *
 * As InnerProductLayer, with B = alpha sign(W) in place of the stored weights W (see caffe/util/binarize.hpp;
 * an output has n = K weights). Backward: the gradient by the bottom uses B; the gradient by B is taken for
 * that by W (straight-through). W stays in full precision, as the solver needs it.
 *
 * binary_inner_product_param: `use_alpha` (false: alpha is 1), `use_binarization` (true; false makes this an
 * ordinary inner product). All else is in inner_product_param, of which `transpose` is not supported.
 *
 * In a net, and fed by a Quant, Forward sums signs and codes as integers: see IntegerProduct.
 */
template <typename Dtype>
class BinaryInnerProductLayer : public InnerProductLayer<Dtype> {
 public:
  explicit BinaryInnerProductLayer(const LayerParameter& param) : InnerProductLayer<Dtype>(param) {}
  /// @throws Error as InnerProductLayer, and for `transpose`.
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  void SetInputLevels(const vector<Dtype>& levels) override { integers_.SetLevels(levels); }
  void SetBottomMaker(Layer<Dtype>* maker, int top_index) override {
    integers_.SetBottomMaker(maker, top_index);
  }
  bool ReadsBottomCodes(int bottom_index) const override;
  bool ReadsBottomData(int bottom_index) const override;

  const char* type() const override { return "BinaryInnerProduct"; }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

  /// Alpha of each output, and B, as of the last forward pass on floats.
  Blob<Dtype> alphas_;
  Blob<Dtype> binary_weights_;
  /// For subclasses: as many ones as an output has weights, and room for a number for each output.
  Blob<Dtype> weight_sum_multiplier_, filter_means_;

 private:
  lowbit::BinaryProductShape ProductShape() const;
  // The gradient by the bottom after a pass on integers. Weights are made of signs a few outputs at a time,
  // as all of them as floats may be more than the rest of the net.
  void BackwardToBottom(const Blob<Dtype>& top, Blob<Dtype>* bottom) const;

  IntegerProduct<Dtype> integers_;
  /// What binary_weights_ were made of on the GPU, where floats are multiplied.
  SeenMemory seen_;
};

}  // namespace caffe

#endif  // CAFFE_BINARY_INNER_PRODUCT_LAYER_HPP_
