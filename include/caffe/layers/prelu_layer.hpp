#ifndef CAFFE_PRELU_LAYER_HPP_
#define CAFFE_PRELU_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layers/neuron_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/channel_loops.hpp"

namespace caffe {

/**
 * @brief y = max(0, x) + a_c min(0, x) with a learned slope a_c for each channel, or one for all with
 * channel_shared (He et al., "Delving Deep into Rectifiers", 2015). May be in-place.
 */
template <typename Dtype>
class PReLULayer : public NeuronLayer<Dtype> {
 public:
  explicit PReLULayer(const LayerParameter& param) : NeuronLayer<Dtype>(param) {}
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  const char* type() const override { return "PReLU"; }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

  /// The blob with a channel for each slope: with one for all, it is one channel.
  ChannelExtent SlopeExtent(const Blob<Dtype>& blob) const;

  bool channel_shared_ = false;
  /// The bottom before it was overwritten in place.
  Blob<Dtype> bottom_memory_;
  /// For subclasses: as many ones as an item has elements, and room for as many numbers.
  Blob<Dtype> multiplier_, backward_buff_;
};

}  // namespace caffe

#endif  // CAFFE_PRELU_LAYER_HPP_
