#ifndef CAFFE_QUANT_LAYER_HPP_
#define CAFFE_QUANT_LAYER_HPP_

#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/layers/neuron_layer.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/**
 * @brief Quantizes activations, with the gradient of a continuous function in place of the quantizer's
 * (HWGQ-Net: Cai et al., CVPR 2017, section 4).
 *
 * quant_param.forward_func:
 * - "hwgq" (default): -negative_slope for x <= 0, else the nearest of `centers`, which are positive and
 * ascending; halfway between two, the lower.
 * - "sign": +1 for x >= 0, else -1. "hard_tanh": x clamped to [-1, 1]. "relu": x for x > 0, else
 * negative_slope x.
 *
 * quant_param.backward_func, with T = clip_thr where that is > 0, else infinity:
 * - "relu" (default): dy for 0 < x <= T, negative_slope dy for x <= 0, 0 for x > T. T = the largest center is
 * the paper's clipped ReLU.
 * - "hard_tanh": dy for -T <= x <= T, else 0.
 *
 * NaN stays NaN in all forward functions. The gradient needs x, so that in training the top may not be the
 * bottom.
 */
template <typename Dtype>
class QuantLayer : public NeuronLayer<Dtype> {
 public:
  explicit QuantLayer(const LayerParameter& param) : NeuronLayer<Dtype>(param) {}
  /// @throws Error for unknown functions, for centers that are missing, not positive or not ascending, for
  /// `thrs` other than the centers' midpoints, and for a top that is the bottom in the TRAIN phase.
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  const char* type() const override { return "Quant"; }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

  string forward_func_;
  string backward_func_;
  /// "hwgq": the threshold above each center, the last infinite, and the centers.
  Blob<Dtype> thrs_;
  Blob<Dtype> centers_;

 private:
  void SetUpCenters();
  template <int kCenters>
  void ForwardHwgq(const Blob<Dtype>& bottom, Blob<Dtype>* top) const;
};

}  // namespace caffe

#endif  // CAFFE_QUANT_LAYER_HPP_
