#ifndef CAFFE_BATCHNORM_LAYER_HPP_
#define CAFFE_BATCHNORM_LAYER_HPP_

#include <cstdint>
#include <functional>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/bf16.hpp"
#include "caffe/util/channel_loops.hpp"

namespace caffe {

/// A normalization on the GPU that a following layer computes: see BatchNormLayer::SetJoined. All memory is
/// the GPU's.
template <typename Dtype>
struct JoinedNormalization {
  ChannelExtent extent;
  const Dtype *mean, *deviation;  ///< of each channel
  /// Where the normalized values are kept for the gradient; one is null.
  Dtype* kept;
  BF16* kept_bf16;
};

/**
 * @brief Normalizes each channel to mean 0 and variance 1: y = (x - mean) / sqrt(variance + eps)
 * (Ioffe and Szegedy, "Batch Normalization", 2015; without their scale and shift, which are a Scale layer).
 *
 * In training (use_global_stats false, the default in phase TRAIN) mean and variance are those of the batch,
 * over all axes but the channels' (axis 1), and moving sums of them are kept; otherwise they are those kept.
 * Parameters: the sums of means and of unbiased variances, both of shape [channels], and the scalar factor to
 * divide them by. Each step multiplies all three by moving_average_fraction and adds to them. Solvers never
 * update them: lr_mult must be 0. May be in-place.
 */
template <typename Dtype>
class BatchNormLayer : public Layer<Dtype> {
 public:
  explicit BatchNormLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  const char* type() const override { return "BatchNorm"; }
  bool ReadsBottomData(int) const override {
    return Caffe::mode() == Caffe::GPU && !is_in_place_ && !use_global_stats_;
  }
  bool ReadsTopData(int) const override { return false; }
  bool BackwardMayBeInPlace() const override { return Caffe::mode() == Caffe::CPU; }
  vector<Blob<Dtype>*> KeptBlobs() override {
    if (use_global_stats_ || !KeepsNormalized()) return {};
    return {keeps_bf16_ ? &x_norm_bf16_ : &x_norm_};
  }
  const Blob<Dtype>* KeptTop(int) const override {
    return use_global_stats_ || !KeepsNormalized() ? nullptr : &x_norm_;
  }
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }

  /**
   * @brief A following layer takes over the passes (Layer::JoinMaker), or no longer does: Forward and
   * Backward leave everything to it.
   *
   * @return false where statistics are not those of the batch: then nothing changes.
   */
  bool SetJoined(bool is_joined);
  /// Joins a layer that is one of these, and not a subclass of somebody else's, which may compute something
  /// else; else null.
  static BatchNormLayer* Join(Layer<Dtype>* layer);
  /**
   * @brief Forward_cpu in place of it, but for the top: part(begin, count, values) is called with its values
   * from `begin` on when they are made, while they are in the cache. Several threads call it.
   */
  void ForwardJoined(const Blob<Dtype>& bottom,
                     const std::function<void(int64_t begin, int64_t count, const Dtype* values)>& part);
  /// Backward_cpu in place of it, where gradient(begin, count) makes a part of the top's gradient, in dx.
  void BackwardJoined(const std::function<void(int64_t begin, int64_t count)>& gradient, Dtype* dx);
#ifndef CPU_ONLY
  /// Forward_gpu in place of it, but for the normalized values: the caller makes these of the bottom, and
  /// keeps them where the result says.
  JoinedNormalization<Dtype> ForwardJoinedGpu(const Blob<Dtype>& bottom);
  /// What the caller has kept, for Backward_gpu in place of it.
  JoinedNormalization<Dtype> JoinedOnGpu();
#endif

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

  /// Of the last forward pass; variance_ holds sqrt(variance + eps).
  Blob<Dtype> mean_, variance_;
  /// The normalized values, which the gradient needs and a following in-place layer may overwrite. On the GPU
  /// only where the layer is itself in place: else the gradient makes them from the bottom once more.
  Blob<Dtype> x_norm_;
  bool use_global_stats_ = false;
  bool is_in_place_ = false;
  Dtype moving_average_fraction_ = 0;
  int channels_ = 0;
  Dtype eps_ = 0;
  /// For subclasses: ones for the items and for the elements of a channel, and room of N x channels and of
  /// the bottom's shape.
  Blob<Dtype> batch_sum_multiplier_, spatial_sum_multiplier_, num_by_chans_, temp_;

 private:
  ChannelExtent Extent(const Blob<Dtype>& blob) const;
  // On the GPU the gradient is made from the bottom where that stays.
  bool KeepsNormalized() const { return Caffe::mode() == Caffe::CPU || is_in_place_; }
#ifndef CPU_ONLY
  void FindStatisticsGpu(const Blob<Dtype>& bottom);
#endif
  // Calls normalize(first, last) for ranges of channels as soon as their statistics are there.
  template <typename Normalize>
  void ForwardChannels(const ChannelExtent& extent, const Dtype* x, const Normalize& normalize);

  bool is_joined_ = false;
  /// Under CAFFE_BACKWARD=BF16 joined passes have the normalized values as BF16, a float's room for two.
  bool keeps_bf16_ = false;
  Blob<Dtype> x_norm_bf16_;
};

}  // namespace caffe

#endif  // CAFFE_BATCHNORM_LAYER_HPP_
