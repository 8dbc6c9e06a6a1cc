#ifndef CAFFE_BINARY_CONV_LAYER_HPP_
#define CAFFE_BINARY_CONV_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/layers/conv_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/integer_product.hpp"
#include "caffe/util/seen_memory.hpp"

namespace caffe {

/**
 * @brief Convolution with binarized weights (HWGQ-Net: Cai et al., CVPR 2017, section 3).
 *
 * Convolves with B = alpha sign(W) in place of the stored weights W (see caffe/util/binarize.hpp; an output's
 * n weights are its channels times its kernel). Backward: the gradient by the bottom uses B; the gradient by
 * B is taken for that by W (straight-through). W stays in full precision, as the solver needs it.
 *
 * binary_convolution_param: `use_alpha` (false: alpha is 1), `use_binarization` (true; false makes this an
 * ordinary convolution). All else is in convolution_param, as for ConvolutionLayer.
 *
 * In a net, and fed by a Quant, Forward sums signs and codes as integers: see IntegerProduct.
 */
template <typename Dtype>
class BinaryConvolutionLayer : public ConvolutionLayer<Dtype> {
 public:
  explicit BinaryConvolutionLayer(const LayerParameter& param) : ConvolutionLayer<Dtype>(param) {}

  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  void SetInputLevels(const vector<Dtype>& levels) override { integers_.SetLevels(levels); }
  void SetBottomMaker(Layer<Dtype>* maker, int top_index) override {
    integers_.SetBottomMaker(maker, top_index);
  }
  bool ReadsBottomCodes(int bottom_index) const override;
  bool ReadsBottomData(int bottom_index) const override;
  vector<Blob<Dtype>*> BackwardBlobs() override {
    return integers_.UnfilledWeights(*this->blobs_[0], &alphas_, &binary_weights_);
  }

  const char* type() const override { return "BinaryConvolution"; }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

  /// Alpha of each output, and B, as of the last forward pass; after one on integers first as Backward needs
  /// them, which under CAFFE_BACKWARD=BF16 on a GPU takes signs instead.
  Blob<Dtype> alphas_;
  Blob<Dtype> binary_weights_;
  /// For subclasses: as many ones as an output has weights.
  Blob<Dtype> weight_sum_multiplier_;

 private:
  /// A bottom's image, and how it is convolved; images of more than two axes are left to floats.
  bool GetProductShape(lowbit::BinaryProductShape* shape) const;

  IntegerProduct<Dtype> integers_;
  /// What binary_weights_ were made of on the GPU, where floats are multiplied.
  SeenMemory seen_;
};

}  // namespace caffe

#endif  // CAFFE_BINARY_CONV_LAYER_HPP_
