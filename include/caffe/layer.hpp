#ifndef CAFFE_LAYER_H_
#define CAFFE_LAYER_H_

#include <functional>
#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/common.hpp"
#include "caffe/layer_factory.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/device_alternate.hpp"
#include "caffe/util/math_functions.hpp"

namespace caffe {

struct KeptCodes;

/**
 * @brief One operation of a network: takes bottom blobs, makes top blobs, and carries gradients back.
 *
 * A layer implements LayerSetUp (once), Reshape (before every forward pass), Forward_cpu and Backward_cpu,
 * and where it has them the GPU forms, which fall back to the CPU's. Its parameters are in blobs_. Errors
 * raised in SetUp, Forward and Backward name the layer.
 */
template <typename Dtype>
class Layer {
 public:
  explicit Layer(const LayerParameter& param);
  virtual ~Layer() = default;

  /// Checks the number of blobs, sets the layer up, shapes its tops and sets loss weights.
  void SetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top);

  /// Reads the layer's parameters and makes its blobs, before the first Reshape.
  virtual void LayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) {}

  /// Shapes the tops and internal buffers for the bottoms' shapes.
  virtual void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) = 0;

  /// Computes the tops. Returns the sum of the tops times their loss weights (0 for a layer without loss).
  Dtype Forward(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top);

  /// Computes the bottoms' diffs, for those with propagate_down, from the tops' diffs, and adds to the diffs
  /// of the parameters.
  void Backward(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                const vector<Blob<Dtype>*>& bottom);

  vector<shared_ptr<Blob<Dtype>>>& blobs() { return blobs_; }
  const LayerParameter& layer_param() const { return layer_param_; }
  /// The layer's definition with its parameters' values (and gradients, with write_diff).
  virtual void ToProto(LayerParameter* param, bool write_diff = false);

  /// Tells a layer of a net that its bottoms are made by a quantizer, which has these
  /// levels, ascending. What it then finds in them may still be something else.
  virtual void SetInputLevels(const vector<Dtype>&) {}

  // A net that reuses memory (Net::set_reuses_memory) gives away what nobody reads any more.
  /// Whether Backward reads the data of a bottom, or of a top.
  virtual bool ReadsBottomData(int) const { return true; }
  virtual bool ReadsTopData(int) const { return true; }
  /// Tells a layer whether its net does so: what it then keeps for Backward should be small.
  virtual void SetReusesMemory(bool) {}
  /// What the layer keeps from Forward to Backward: blobs that have their shapes after Reshape, and
  /// no data before Forward and after Backward.
  virtual vector<Blob<Dtype>*> KeptBlobs() { return {}; }
  /// Likewise what Backward fills for itself alone.
  virtual vector<Blob<Dtype>*> BackwardBlobs() { return {}; }
  /// Whether Backward may write the gradient of any one of its bottoms over that of its only top.
  virtual bool BackwardMayBeInPlace() const { return false; }
  /// Whether the layer, from something smaller that it keeps, can write the data of a top once more as
  /// Forward made them. RestoreTop does; the top's data need not stay until Backward then.
  virtual bool RestoresTop(int) const { return false; }
  virtual void RestoreTop(int, Blob<Dtype>*) {}
  /// The data of a top, where the layer keeps them for its own Backward whatever becomes of the top; or null.
  virtual const Blob<Dtype>* KeptTop(int) const { return nullptr; }
  /// Tells a layer which one makes its first bottom, and as which top; null where the net reuses no memory.
  /// What that layer keeps (KeptTop) need not be kept twice.
  virtual void SetBottomMaker(Layer*, int) {}
  /// Whether the layer has codes of a top that RestoresTop, which who reads it on a GPU may take in place of
  /// its data from Forward to Backward, as OfferTopCodes has said; and they themselves, else null.
  virtual bool OffersTopCodes(int) const { return false; }
  virtual const KeptCodes* TopCodes(int) { return nullptr; }
  /// Whether a layer's Forward takes the codes of a bottom where they are offered.
  virtual bool ReadsBottomCodes(int) const { return false; }
  /// Tells a layer before Forward whether the codes of a top are offered, and whether nobody will read its
  /// data, which then need not be made.
  virtual void OfferTopCodes(int, bool /*offered*/, bool /*alone*/) {}
  /// Offers a layer to compute in its own passes what the one before it computes, which made its only bottom
  /// in place and for it alone, so that values need not go through memory twice; null ends that. The one that
  /// takes the offer tells the other.
  virtual void JoinMaker(Layer*) {}

  /// A part of a parameter's gradient, elements [begin, begin + count), whole; it may be overwritten.
  using GradientTaker = std::function<void(int64_t begin, int64_t count, Dtype* gradient)>;
  /**
   * @brief Offers to take a parameter's gradient from the next passes on a CPU, so that it needs no memory:
   * each part once, when Backward needs the parameter itself no more. Null ends that.
   *
   * @return whether the layer will do so, in place of adding to the parameter's diff.
   */
  virtual bool SetGradientTaker(int, const GradientTaker&) { return false; }

  /// Tells the place in its data that a layer has come to; false where it has none. Net adds the name.
  virtual bool GetDataState(DataState*) const { return false; }
  /// Goes on from a place that GetDataState told. @throws Error where the data have no such place.
  virtual void SetDataState(const DataState&) {}

  /// Loss weight of a top; 0 where none was set.
  Dtype loss(const int top_index) const;
  void set_loss(const int top_index, const Dtype value);

  virtual const char* type() const { return ""; }

  // How many blobs the layer takes and makes; -1 is no limit.
  virtual int ExactNumBottomBlobs() const { return -1; }
  virtual int MinBottomBlobs() const { return -1; }
  virtual int MaxBottomBlobs() const { return -1; }
  virtual int ExactNumTopBlobs() const { return -1; }
  virtual int MinTopBlobs() const { return -1; }
  virtual int MaxTopBlobs() const { return -1; }
  virtual bool EqualNumBottomTopBlobs() const { return false; }
  /// Whether Net makes tops that the definition does not name, up to the number the layer needs.
  virtual bool AutoTopBlobs() const { return false; }
  /// Whether force_backward may ask for the gradient of this bottom.
  virtual bool AllowForceBackward(const int) const { return true; }

  /// Whether the gradient of a parameter is computed.
  bool param_propagate_down(const int param_id) const;
  void set_param_propagate_down(const int param_id, const bool value);

 protected:
  LayerParameter layer_param_;
  Phase phase_;
  vector<shared_ptr<Blob<Dtype>>> blobs_;
  vector<bool> param_propagate_down_;
  vector<Dtype> loss_;

  virtual void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) = 0;
  virtual void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
    Forward_cpu(bottom, top);
  }
  virtual void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                            const vector<Blob<Dtype>*>& bottom) = 0;
  virtual void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                            const vector<Blob<Dtype>*>& bottom) {
    Backward_cpu(top, propagate_down, bottom);
  }
  virtual void CheckBlobCounts(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top);
  /// Fills the diff of each top that has a loss weight with that weight, where backward starts from.
  void SetLossWeights(const vector<Blob<Dtype>*>& top);

 private:
  DISABLE_COPY_AND_ASSIGN(Layer);
};

}  // namespace caffe

#endif  // CAFFE_LAYER_H_
