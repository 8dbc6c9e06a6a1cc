#ifndef CAFFE_SCALE_LAYER_HPP_
#define CAFFE_SCALE_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/layers/batch_norm_layer.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/**
 * @brief Multiplies by a scale whose axes are axes scale_param.axis ... of the bottom, the same for all other
 * axes, and with bias_term adds a bias of the same shape.
 *
 * The scale is the second bottom or, where there is none, a parameter of num_axes axes (-1: all from `axis`
 * on), filled with 1 unless a filler is given. May be in-place.
 */
template <typename Dtype>
class ScaleLayer : public Layer<Dtype> {
 public:
  explicit ScaleLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  const char* type() const override { return "Scale"; }
  bool ReadsBottomData(int bottom_index) const override {
    return bottom_index > 0 || !(is_in_place_ || KeptBottom());
  }
  bool ReadsTopData(int) const override { return false; }
  bool BackwardMayBeInPlace() const override {
    return Caffe::mode() == Caffe::CPU && this->layer_param_.bottom_size() == 1;
  }
  vector<Blob<Dtype>*> KeptBlobs() override {
    if (!is_in_place_ || KeptBottom()) return {};
    return {&temp_};
  }
  void SetBottomMaker(Layer<Dtype>* maker, int top_index) override {
    bottom_maker_ = maker;
    maker_top_ = top_index;
  }
  /// On a GPU takes the passes of a BatchNormLayer in place over, where both are by channels.
  void JoinMaker(Layer<Dtype>* maker) override;
  int MinBottomBlobs() const override { return 1; }
  int MaxBottomBlobs() const override { return 2; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

  /// The bottom before it was overwritten in place, which the scale's gradient needs.
  Blob<Dtype> temp_;
  bool is_in_place_ = false;
  int axis_ = 0;
  int outer_dim_ = 0, scale_dim_ = 0, inner_dim_ = 0;
  /// Index of the bias among the parameters; -1 without one.
  int bias_param_id_ = -1;
  /// Has the bias, which is one of this layer's parameters; multiplying and adding are one pass all the same.
  shared_ptr<Layer<Dtype>> bias_layer_;
  vector<Blob<Dtype>*> bias_bottom_vec_;
  vector<bool> bias_propagate_down_;
  /// For subclasses: ones for the items and for the elements that share a factor, and room for a number for
  /// each factor of each item.
  Blob<Dtype> sum_multiplier_, sum_result_;

 private:
  void ForwardJoined(const Blob<Dtype>& bottom, Blob<Dtype>* top);
  void BackwardJoined(const Blob<Dtype>& top, Blob<Dtype>* bottom);
  // Where the sums that are the gradient of a parameter go; nowhere where nobody wants it.
  Dtype* GpuDiffOf(int param_id);
  /// The bottom's values as the layer that made them keeps them; null where it does not.
  const Blob<Dtype>* KeptBottom() const {
    return bottom_maker_ ? bottom_maker_->KeptTop(maker_top_) : nullptr;
  }

  /// Whose passes are part of this layer's; null where none's are.
  BatchNormLayer<Dtype>* batch_norm_ = nullptr;
  const Layer<Dtype>* bottom_maker_ = nullptr;
  int maker_top_ = 0;
};

}  // namespace caffe

#endif  // CAFFE_SCALE_LAYER_HPP_
