#ifndef CAFFE_RECURRENT_LAYER_HPP_
#define CAFFE_RECURRENT_LAYER_HPP_

#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/common.hpp"
#include "caffe/layer.hpp"
#include "caffe/net.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/**
 * @brief Base of layers that carry a state through time, computed by a Net unrolled over the time steps.
 *
 * Bottoms: the input x of shape T x N x ... (T time steps of N independent streams); the sequence indicators
 * cont of shape T x N, 0 at the first step of a sequence and 1 after it; optionally a static input of shape
 * N x ..., the same at every step; and with expose_hidden one initial state each of shape 1 x N x D. Tops:
 * the outputs of shape T x N x D, and with expose_hidden the final states. Without expose_hidden the final
 * state of one forward pass is the initial state of the next, so long sequences may be fed in pieces.
 *
 * A derived class describes one step in FillUnrolledNet. The unrolled net's parameters are this layer's.
 */
template <typename Dtype>
class RecurrentLayer : public Layer<Dtype> {
 public:
  explicit RecurrentLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  /// Forgets the state carried from the last forward pass.
  virtual void Reset();

  /// The state that is carried to the next forward pass.
  bool GetDataState(DataState* state) const override;
  void SetDataState(const DataState& state) override;

  const char* type() const override { return "Recurrent"; }
  int MinBottomBlobs() const override;
  int MaxBottomBlobs() const override { return MinBottomBlobs() + 1; }
  int ExactNumTopBlobs() const override;
  /// Sequence indicators have no gradient.
  bool AllowForceBackward(const int bottom_index) const override { return bottom_index != 1; }

 protected:
  /// Adds the layers of all T_ steps to `net_param`, which holds the Input layers "x", "cont" (and
  /// "x_static") already.
  virtual void FillUnrolledNet(NetParameter* net_param) const = 0;
  /// Names, in the unrolled net, of the states' first values, of their last values, and of the outputs; and
  /// the shapes of the first values.
  virtual void RecurrentInputBlobNames(vector<string>* names) const = 0;
  virtual void RecurrentInputShapes(vector<BlobShape>* shapes) const = 0;
  virtual void RecurrentOutputBlobNames(vector<string>* names) const = 0;
  virtual void OutputBlobNames(vector<string>* names) const = 0;

  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

  shared_ptr<Net<Dtype>> unrolled_net_;
  /// Streams processed side by side.
  int N_ = 0;
  /// Time steps of one forward pass.
  int T_ = 0;
  bool static_input_ = false;
  /// The last layer of the unrolled net that computes an output.
  int last_layer_index_ = 0;
  bool expose_hidden_ = false;
  vector<Blob<Dtype>*> recur_input_blobs_;
  vector<Blob<Dtype>*> recur_output_blobs_;
  vector<Blob<Dtype>*> output_blobs_;
  Blob<Dtype>* x_input_blob_ = nullptr;
  Blob<Dtype>* x_static_input_blob_ = nullptr;
  Blob<Dtype>* cont_input_blob_ = nullptr;
};

}  // namespace caffe

#endif  // CAFFE_RECURRENT_LAYER_HPP_
