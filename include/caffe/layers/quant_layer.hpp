#ifndef CAFFE_QUANT_LAYER_HPP_
#define CAFFE_QUANT_LAYER_HPP_

#include <limits>
#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/layers/batch_norm_layer.hpp"
#include "caffe/layers/neuron_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/kept_codes.hpp"
#include "caffe/util/quantize.hpp"

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
  bool ReadsBottomData(int) const override { return !KeepsMask(); }
  bool ReadsTopData(int) const override { return !KeepsMask(); }
  void SetReusesMemory(bool value) override { reuses_memory_ = value; }
  bool BackwardMayBeInPlace() const override { return KeepsMask(); }
  vector<Blob<Dtype>*> KeptBlobs() override {
    if (!KeepsMask()) return {};
    return {&kept_};
  }
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  bool RestoresTop(int) const override { return KeepsMask() && HasCodes(); }
  void RestoreTop(int top_index, Blob<Dtype>* top) override;
  bool OffersTopCodes(int) const override {
    return offers_codes_ && RestoresTop(0) && Caffe::mode() == Caffe::GPU;
  }
  const KeptCodes* TopCodes(int top_index) override;
  void OfferTopCodes(int, bool offered, bool alone) override {
    offers_codes_ = offered;
    codes_.is_alone = alone;
  }
  /// Takes the passes of a BatchNormLayer over where this layer keeps bytes.
  void JoinMaker(Layer<Dtype>* maker) override;

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
  /// Whether the top has few levels, which have codes.
  bool HasCodes() const;
  /// Whether what is kept of a value fits in half a byte.
  bool FitsHalfBytes() const { return !HasCodes() || Levels() <= kHalfByteNan; }
  /// Where the top has codes.
  int Levels() const { return forward_func_ == "sign" ? 2 : centers_.count() + 1; }
  KeptValues KeptOnGpu() const {
    return {reinterpret_cast<const unsigned char*>(kept_.gpu_data()), kept_in_halves_};
  }
  /// Makes room for what is kept of `count` values.
  void ReshapeKept(int count, bool in_halves) {
    const int bytes = in_halves ? count / 2 + 1 : count;
    kept_.Reshape({bytes / static_cast<int>(sizeof(Dtype)) + 1});
  }
  /// On the CPU, where each of the `count` values has a byte.
  const unsigned char* KeptOnCpu(int count);
  void RestoreTopGpu(Blob<Dtype>* top) const;
  /// Whether Forward keeps, in a byte for each value or half of one, where the gradient passes, and the
  /// value's code: where the gradient does so as it is or not at all.
  bool KeepsMask() const;
  template <int kCenters>
  HwgqFunction<Dtype, kCenters> Hwgq() const;
  /// Calls run(f), with Forward of f the function that is asked for; centers are where it will run.
  template <typename Run>
  void WithForward(bool on_gpu, const Run& run) const;
  /// Calls run(f), with Derivative of f the gradient that is asked for.
  template <typename Run>
  void WithGradient(const Run& run) const;
  /// Where the gradient ends.
  Dtype Limit() const;
  // Forward of so many values, which keeps their bytes; not in parallel.
  void ForwardKept(int64_t count, const Dtype* x, Dtype* y, unsigned char* kept) const;
  void CheckNotInPlace(const vector<Blob<Dtype>*>& top, const vector<Blob<Dtype>*>& bottom) const;

  bool reuses_memory_ = false;
  /// Whose passes are part of this layer's; null where none's are.
  BatchNormLayer<Dtype>* batch_norm_ = nullptr;
  /// Of each value of the last Forward; two in a byte where it ran on a GPU and they fit.
  Blob<Dtype> kept_;
  bool kept_in_halves_ = false;
  bool offers_codes_ = false;
  KeptCodes codes_;
};

template <typename Dtype>
template <int kCenters>
HwgqFunction<Dtype, kCenters> QuantLayer<Dtype>::Hwgq() const {
  HwgqFunction<Dtype, kCenters> function;
  function.negative_slope = this->layer_param_.quant_param().negative_slope();
  for (int j = 0; j < kCenters; ++j) {
    constexpr Dtype kInfinity = std::numeric_limits<Dtype>::infinity();
    const bool is_given = j < centers_.count();
    function.thrs[j] = is_given ? thrs_.cpu_data()[j] : kInfinity;
    function.centers[j] = is_given ? centers_.cpu_data()[j] : kInfinity;
  }
  return function;
}

template <typename Dtype>
template <typename Run>
void QuantLayer<Dtype>::WithForward(bool on_gpu, const Run& run) const {
  const Dtype negative_slope = this->layer_param_.quant_param().negative_slope();
  if (forward_func_ == "sign") {
    run(SignFunction<Dtype>());
  } else if (forward_func_ == "hard_tanh") {
    run(ClipFunction<Dtype>{-1, 1});
  } else if (forward_func_ == "relu") {
    run(ReluFunction<Dtype>{negative_slope});
  } else if (centers_.count() <= 1) {
    run(Hwgq<1>());
  } else if (centers_.count() <= 3) {
    run(Hwgq<3>());
  } else if (centers_.count() <= 7) {
    run(Hwgq<7>());
  } else if (centers_.count() <= 15) {
    run(Hwgq<15>());
  } else {
    const auto data = [on_gpu](const Blob<Dtype>& blob) {
      return on_gpu ? blob.gpu_data() : blob.cpu_data();
    };
    run(LongHwgqFunction<Dtype>{negative_slope, data(thrs_), data(centers_), centers_.count()});
  }
}

template <typename Dtype>
template <typename Run>
void QuantLayer<Dtype>::WithGradient(const Run& run) const {
  const Dtype negative_slope = this->layer_param_.quant_param().negative_slope(), limit = Limit();
  if (backward_func_ == "hard_tanh") {
    run(ClipFunction<Dtype>{-limit, limit});
  } else if (backward_func_ == "log_tailed_relu") {
    run(LogTailedReluGradient<Dtype>{negative_slope, limit});
  } else {
    run(ClippedReluGradient<Dtype>{negative_slope, limit});
  }
}

}  // namespace caffe

#endif  // CAFFE_QUANT_LAYER_HPP_
