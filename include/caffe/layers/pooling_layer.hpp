#ifndef CAFFE_POOLING_LAYER_HPP_
#define CAFFE_POOLING_LAYER_HPP_

#include <cstdint>

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/pool_window.hpp"

namespace caffe {

/**
 * @brief Summarizes windows of each channel of images: [n, c, height, width] to [n, c, pooled height, width].
 *
 * - MAX: the largest value, the first of equal ones; NaN if the window holds one. A second top, where there
 * is one, gets its place in the channel, row * width + column.
 * - AVE: the mean; padding counts as zeros (but not what lies beyond it).
 * - STOCHASTIC (Zeiler and Fergus, ICLR 2013), for values >= 0: in training a value drawn with probability
 *   proportional to it, in testing the mean weighted by those probabilities.
 *
 * A window cut off by the border is smaller. One that lies outside altogether, which rounding up makes where
 * the stride exceeds the kernel, gives 0 (place -1) and no gradient. Output size: see pool_output_size.
 *
 * pooling_param: pool (MAX); kernel_size, stride (1), pad (0), or kernel_h, kernel_w and so on;
 * global_pooling (the kernel is the whole channel); round_mode (CEIL). `engine` makes no difference on the
 * CPU.
 */
template <typename Dtype>
class PoolingLayer : public Layer<Dtype> {
 public:
  explicit PoolingLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  /// @throws Error for settings that are missing, ambiguous or out of range.
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  /// @throws Error where the bottom does not have four axes or no window fits.
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  const char* type() const override { return "Pooling"; }
  bool ReadsBottomData(int) const override {
    return this->layer_param_.pooling_param().pool() == PoolingParameter_PoolMethod_STOCHASTIC;
  }
  /// The second top says where the largest values were.
  bool ReadsTopData(int top_index) const override { return top_index == 1; }
  int ExactNumBottomBlobs() const override { return 1; }
  int MinTopBlobs() const override { return 1; }
  /// MAX can also give the places.
  int MaxTopBlobs() const override {
    return this->layer_param_.pooling_param().pool() == PoolingParameter_PoolMethod_MAX ? 2 : 1;
  }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

  int kernel_h_ = 0, kernel_w_ = 0;
  int stride_h_ = 1, stride_w_ = 1;
  int pad_h_ = 0, pad_w_ = 0;
  int channels_ = 0;
  int height_ = 0, width_ = 0;
  int pooled_height_ = 0, pooled_width_ = 0;
  bool global_pooling_ = false;
  PoolingParameter_RoundMode round_mode_ = PoolingParameter_RoundMode_CEIL;
  /// STOCHASTIC in training: the place drawn for each output.
  Blob<Dtype> rand_idx_;
  /// MAX without a second top: the place of each output, but where it is in small_places_.
  Blob<int> max_idx_;

 private:
  PoolGeometry Geometry() const;
  /// max_idx_ with the places of the last pass forward, wherever that was.
  const Blob<int>& MaxPlaces();

  /// After a pass on the CPU in place of max_idx_, where 16 bits hold all places; else empty.
  vector<uint16_t> small_places_;
};

}  // namespace caffe

#endif  // CAFFE_POOLING_LAYER_HPP_
