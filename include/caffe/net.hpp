#ifndef CAFFE_NET_HPP_
#define CAFFE_NET_HPP_

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/common.hpp"
#include "caffe/layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/memory_pool.hpp"

namespace caffe {

class WeightMatch;

/**
 * @brief A directed acyclic graph of layers, built from a NetParameter.
 *
 * Blobs that several layers read are split, so that their gradients add up; layers run in the order of the
 * definition.
 *
 * In the TEST phase and with floats on the CPU, binary layers that read what a Quant layer makes compute with
 * integers; all blobs hold the same as else, up to rounding. The environment variable HWGQ_FLOAT_NET, set to
 * 1 when the net is built, makes it compute with floats.
 */
template <typename Dtype>
class Net {
 public:
  explicit Net(const NetParameter& param);
  /// Reads the definition from a text file and builds the layers that the phase, level and stages include.
  explicit Net(const string& param_file, Phase phase, const int level = 0,
               const vector<string>* stages = nullptr);
  virtual ~Net() = default;

  /// Held by each call that runs the net or changes its blobs; calls from several threads take turns. Whoever
  /// needs several calls to belong together, or blobs to stay as they are, locks it meanwhile.
  std::recursive_mutex& mutex() const { return mutex_; }

  void Init(const NetParameter& param);

  /// Runs all layers; the sum of weighted losses goes to `loss`. Returns the output blobs.
  const vector<Blob<Dtype>*>& Forward(Dtype* loss = nullptr);
  const vector<Blob<Dtype>*>& ForwardPrefilled(Dtype* loss = nullptr);
  /// Runs layers start ... end, both included. Returns their loss.
  Dtype ForwardFromTo(int start, int end);
  Dtype ForwardFrom(int start);
  Dtype ForwardTo(int end);
  /// Copies `bottom` to the input blobs, then runs all layers.
  const vector<Blob<Dtype>*>& Forward(const vector<Blob<Dtype>*>& bottom, Dtype* loss = nullptr);

  /// Sets the gradients of all parameters to zero; Backward adds to them.
  void ClearParamDiffs();
  /// Part of the gradient by a learnable parameter: see Layer::GradientTaker.
  using GradientTaker = std::function<void(int param_id, int64_t begin, int64_t count, Dtype* gradient)>;
  /**
   * @brief Lets `taker` have those gradients that layers give, in BackwardFromTo, in place of their diffs,
   * which are then neither cleared nor changed; null ends that.
   *
   * It may change the parameters. So none is given where somebody might look at them, or end a pass, in
   * between: by callbacks, debug_info, layers in Python, or where no memory is reused; nor on a GPU.
   */
  void GiveGradients(const GradientTaker& taker);
  /// Whether the gradient by a learnable parameter is given.
  bool gives_gradient(int param_id) const { return gives_gradient_[param_id]; }

  void Backward();
  /// Runs layers start ... end backward, start >= end, both included.
  void BackwardFromTo(int start, int end);
  void BackwardFrom(int start);
  void BackwardTo(int end);

  /// Shapes all blobs for the shapes of the inputs.
  void Reshape();

  Dtype ForwardBackward();

  /// Subtracts each learnable parameter's diff from its data.
  void Update();
  /// With debug_info, logs the parameters and what was subtracted last.
  void ShowUpdate();
  /// Lets shared parameters share their owner's memory.
  void ShareWeights();

  /// Shares the parameters of the layers that have the same name there.
  void ShareTrainedLayersWith(const Net* other);
  /// Copies the parameters of the layers that have the same name there; the others keep theirs.
  /// @throws Error naming the layer and both shapes where they differ; nothing is copied then.
  void CopyTrainedLayersFrom(const NetParameter& param);
  /// Reads a .caffemodel or an HDF5 file, told apart by what they hold. Errors name the file too.
  void CopyTrainedLayersFrom(const string& trained_filename);
  void CopyTrainedLayersFromBinaryProto(const string& trained_filename);
  void CopyTrainedLayersFromHDF5(const string& trained_filename);
  void ToProto(NetParameter* param, bool write_diff = false) const;
  /// Writes the groups "data" and, with write_diff, "diff": in each a group for every layer, with datasets
  /// "0", "1", ... for its parameters. The data of a shared parameter are with the layer that owns it. The
  /// file appears whole or not at all.
  void ToHDF5(const string& filename, bool write_diff = false) const;

  const string& name() const { return name_; }
  const vector<string>& layer_names() const { return layer_names_; }
  const vector<string>& blob_names() const { return blob_names_; }
  const vector<shared_ptr<Blob<Dtype>>>& blobs() const { return blobs_; }
  const vector<shared_ptr<Layer<Dtype>>>& layers() const { return layers_; }
  Phase phase() const { return phase_; }
  /// The bottoms of each layer; valid once the net is built.
  const vector<vector<Blob<Dtype>*>>& bottom_vecs() const { return bottom_vecs_; }
  const vector<vector<Blob<Dtype>*>>& top_vecs() const { return top_vecs_; }
  /// Indices into blobs() of a layer's tops and bottoms.
  const vector<int>& top_ids(int i) const;
  const vector<int>& bottom_ids(int i) const;
  const vector<vector<bool>>& bottom_need_backward() const { return bottom_need_backward_; }
  const vector<Dtype>& blob_loss_weights() const { return blob_loss_weights_; }
  const vector<bool>& layer_need_backward() const { return layer_need_backward_; }
  /// All parameters, and those of them that are not shared from another layer.
  const vector<shared_ptr<Blob<Dtype>>>& params() const { return params_; }
  const vector<Blob<Dtype>*>& learnable_params() const { return learnable_params_; }
  /// Multipliers of learning rate and weight decay for each learnable parameter, and whether they were given.
  const vector<float>& params_lr() const { return params_lr_; }
  const vector<bool>& has_params_lr() const { return has_params_lr_; }
  const vector<float>& params_weight_decay() const { return params_weight_decay_; }
  const vector<bool>& has_params_decay() const { return has_params_decay_; }
  const map<string, int>& param_names_index() const { return param_names_index_; }
  /// For each parameter the index of the one it is shared from, or -1.
  const vector<int>& param_owners() const { return param_owners_; }
  const vector<string>& param_display_names() const { return param_display_names_; }
  int num_inputs() const { return static_cast<int>(net_input_blobs_.size()); }
  int num_outputs() const { return static_cast<int>(net_output_blobs_.size()); }
  const vector<Blob<Dtype>*>& input_blobs() const { return net_input_blobs_; }
  const vector<Blob<Dtype>*>& output_blobs() const { return net_output_blobs_; }
  const vector<int>& input_blob_indices() const { return net_input_blob_indices_; }
  const vector<int>& output_blob_indices() const { return net_output_blob_indices_; }
  bool has_blob(const string& blob_name) const;
  /// Null, with a warning, where there is none of that name.
  const shared_ptr<Blob<Dtype>> blob_by_name(const string& blob_name) const;
  bool has_layer(const string& layer_name) const;
  const shared_ptr<Layer<Dtype>> layer_by_name(const string& layer_name) const;

  /// Logs the mean magnitude of every blob as it is computed.
  void set_debug_info(const bool value) { debug_info_ = value; }

  /**
   * @brief Whether memory goes from blob to blob within a pass (false).
   *
   * Then a pass must begin at the first layer, and after it only the net's inputs and outputs, its losses and
   * parameters, what data layers made, and blobs that were looked at between earlier passes hold what they
   * hold otherwise; but one that a layer normalizes, or scales, in place just before the next one reads it
   * may hold what that layer was given. What another blob holds is not known, neither its data nor its
   * gradient. Callbacks see what the layer that just ran has read, unless it wrote over it, and written.
   * After a Forward there may be one Backward: then what layers had kept for it is gone. A solver's Step may
   * use up the gradients by weights of convolutions and inner products within it (GiveGradients), so that
   * they are nowhere.
   */
  void set_reuses_memory(bool value);
  bool reuses_memory() const { return reuses_memory_; }
  /**
   * @brief Bytes that a pass takes on the CPU for blobs, their gradients (in TRAIN) and what layers leave to
   * the net of what they keep, where memory is reused; without parameters. Found by going through a pass
   * without computing anything.
   *
   * @throws Error for a net that reuses memory already.
   */
  size_t PassBytes();
  /// What no blob has now.
  const MemoryPool& pool() const { return pool_; }

  /// Leaves out the layers that the net's state (phase, level, stages) does not include.
  static void FilterNet(const NetParameter& param, NetParameter* param_filtered);
  static bool StateMeetsRule(const NetState& state, const NetStateRule& rule, const string& layer_name);

  /// Called with the index of a layer before or after it runs.
  class Callback {
   public:
    virtual ~Callback() = default;

   protected:
    virtual void run(int layer) = 0;

    template <typename T>
    friend class Net;
  };
  const vector<Callback*>& before_forward() const { return before_forward_; }
  void add_before_forward(Callback* value) { before_forward_.push_back(value); }
  const vector<Callback*>& after_forward() const { return after_forward_; }
  void add_after_forward(Callback* value) { after_forward_.push_back(value); }
  const vector<Callback*>& before_backward() const { return before_backward_; }
  void add_before_backward(Callback* value) { before_backward_.push_back(value); }
  const vector<Callback*>& after_backward() const { return after_backward_; }
  void add_after_backward(Callback* value) { after_backward_.push_back(value); }
  void remove_after_backward(Callback* value);

 protected:
  /// Makes a layer with its tops and parameters.
  void AppendLayer(const NetParameter& param, const int layer_id, set<string>* available_blobs,
                   map<string, int>* blob_name_to_idx);
  /// Finds out which layers and bottoms take part in the backward pass.
  void DecideBackward(const NetParameter& param);
  void AppendTop(const NetParameter& param, const int layer_id, const int top_id,
                 set<string>* available_blobs, map<string, int>* blob_name_to_idx);
  int AppendBottom(const NetParameter& param, const int layer_id, const int bottom_id,
                   set<string>* available_blobs, map<string, int>* blob_name_to_idx);
  void AppendParam(const NetParameter& param, const int layer_id, const int param_id);

  /// On a GPU each thread's work is in order for itself alone: lets what this thread starts now wait for what
  /// another one has started, if another one ran the net last.
  void FollowOtherThreads();

  /// Finds out what blobs may be given memory of others.
  void PlanReuse();
  // Offers layers the one before (Layer::JoinMaker) where they may have it, or ends that.
  void JoinLayers(bool are_joined);
  /// Whether this trains, memory is reused, and nobody looks at a blob in the midst of a pass,
  /// unless by callbacks in Backward.
  bool TrainsUnseen() const;
  bool MayReuseData(int blob_id) const;
  // Tells a layer whether codes of its tops are offered (Layer::OfferTopCodes).
  void OfferCodes(int layer_id);
  bool IsSplit(int layer_id) const;
  /// Before and after a layer runs: gives memory to what it writes, and takes it from what nobody reads any
  /// more.
  void LendData(int layer_id);
  void TakeBackData(int layer_id);
  void LendDiffs(int layer_id);
  void TakeBackDiffs(int layer_id);
  /// Gives memory to blobs of the layer's own until it has run backward.
  void LendKeptBlobs(int layer_id, const vector<Blob<Dtype>*>& blobs);
  void TakeBackKeptBlobs(int layer_id);
  /// Where a layer can restore what the blob held: data that need not stay until Backward.
  bool MayRestoreData(int blob_id) const;
  /// Before a layer runs backward: has data restored that it reads, and takes back what it had restored for
  /// others.
  void RestoreData(int layer_id, bool computes = true);
  void TakeBackRestoredData(int layer_id);

  void ForwardDebugInfo(const int layer_id);
  void BackwardDebugInfo(const int layer_id);
  void UpdateDebugInfo(const int param_id);

  mutable std::recursive_mutex mutex_;
  /// The one that ran the net last.
  std::thread::id last_thread_;
  string name_;
  Phase phase_ = TRAIN;
  vector<shared_ptr<Layer<Dtype>>> layers_;
  vector<string> layer_names_;
  map<string, int> layer_names_index_;
  vector<bool> layer_need_backward_;
  vector<shared_ptr<Blob<Dtype>>> blobs_;
  vector<string> blob_names_;
  map<string, int> blob_names_index_;
  vector<bool> blob_need_backward_;
  vector<vector<Blob<Dtype>*>> bottom_vecs_;
  vector<vector<int>> bottom_id_vecs_;
  vector<vector<bool>> bottom_need_backward_;
  vector<vector<Blob<Dtype>*>> top_vecs_;
  vector<vector<int>> top_id_vecs_;
  vector<Dtype> blob_loss_weights_;
  vector<vector<int>> param_id_vecs_;
  vector<int> param_owners_;
  vector<string> param_display_names_;
  vector<pair<int, int>> param_layer_indices_;
  map<string, int> param_names_index_;
  vector<int> net_input_blob_indices_;
  vector<int> net_output_blob_indices_;
  vector<Blob<Dtype>*> net_input_blobs_;
  vector<Blob<Dtype>*> net_output_blobs_;
  vector<shared_ptr<Blob<Dtype>>> params_;
  vector<Blob<Dtype>*> learnable_params_;
  /// For each of params_, its index in learnable_params_.
  vector<int> learnable_param_ids_;
  vector<bool> gives_gradient_;
  vector<float> params_lr_;
  vector<bool> has_params_lr_;
  vector<float> params_weight_decay_;
  vector<bool> has_params_decay_;
  /// Bytes of all tops.
  size_t memory_used_ = 0;
  bool debug_info_ = false;
  bool reuses_memory_ = false;
  MemoryPool pool_;
  /// For each layer the blobs that are made before it runs forward and that nobody reads after it has run.
  vector<vector<int>> first_written_, last_read_;
  /// For each blob the layers that have it as a bottom or a top.
  vector<vector<int>> users_;
  /// Blobs that a data layer or the user fills, or whose gradient the user sets.
  vector<bool> is_kept_;
  /// Blobs that a Split makes, which share the memory of its bottom.
  vector<bool> is_shared_;
  /// For each blob the one whose data it has: itself, or a Split's bottom, and that one's.
  vector<int> origins_;
  /// For each blob that one layer alone writes, with all that share its data, the layer and the index of the
  /// top; else -1.
  vector<int> makers_, maker_tops_;
  /// For each blob the bottoms, layers and their indices, that have its data as it was made, or a Split's.
  vector<vector<pair<int, int>>> readers_of_data_;
  /// Layers that may join the one before.
  vector<int> joinable_;
  bool are_joined_ = false;
  Caffe::Brew joined_mode_ = Caffe::CPU;
  /// Blobs whose data or gradient is memory of the pool.
  vector<bool> has_lent_data_, has_lent_diff_;
  /// For each layer what it keeps in memory of the pool, and whether it has given that back.
  vector<vector<Blob<Dtype>*>> lent_kept_;
  vector<bool> are_kept_gone_;
  /// Blobs whose data are to be restored before they are read.
  vector<bool> is_data_gone_;
  vector<Callback*> before_forward_;
  vector<Callback*> after_forward_;
  vector<Callback*> before_backward_;
  vector<Callback*> after_backward_;

 private:
  /// The layer that a source layer's parameters go to; null, with a line of the log, where there is none.
  Layer<Dtype>* TargetOf(const string& source_layer) const;
  /// Copies the parameters of the source layers that have a namesake here, by copy(source layer, blob,
  /// target), once all of them fit.
  void CopyMatching(const NetParameter& param, const std::function<void(int, int, Blob<Dtype>*)>& copy);
  /// Adds the layers with parameters of their own that `match` does not name.
  void AddMissing(WeightMatch* match) const;
  void WarnIfNothingCopied(bool any_parameter) const;

  DISABLE_COPY_AND_ASSIGN(Net);
};

}  // namespace caffe

#endif  // CAFFE_NET_HPP_
