#include "caffe/net.hpp"

#include <algorithm>

#include "caffe/util/input_levels.hpp"
#include "caffe/util/insert_splits.hpp"
#include "caffe/util/nearest_names.hpp"
#include "caffe/util/path_resolve.hpp"
#include "caffe/util/upgrade_proto.hpp"

namespace caffe {

namespace {

// What a layer says of its parameter, in its definition or when it was set up (BatchNorm fixes its
// statistics).
ParamSpec ParamSpecOf(const LayerParameter& layer_param, int param_id) {
  return param_id < layer_param.param_size() ? layer_param.param(param_id) : ParamSpec();
}

}  // namespace

template <typename Dtype>
Net<Dtype>::Net(const NetParameter& param) {
  Init(param);
}

template <typename Dtype>
Net<Dtype>::Net(const string& param_file, Phase phase, const int level, const vector<string>* stages) {
  NetParameter param;
  ReadNetParamsFromTextFileOrDie(param_file, &param);
  param.mutable_state()->set_phase(phase);
  if (stages) {
    for (const string& stage : *stages) param.mutable_state()->add_stage(stage);
  }
  param.mutable_state()->set_level(level);
  try {
    ResolvePaths(param_file, &param);
    Init(param);
  } catch (const Error& error) {
    throw error.WithFile(param_file);
  }
}

template <typename Dtype>
void Net<Dtype>::Init(const NetParameter& in_param) {
  phase_ = in_param.state().phase();
  NetParameter filtered_param;
  FilterNet(in_param, &filtered_param);
  LOG_IF(INFO, Caffe::root_solver()) << "Initializing net from parameters: \n"
                                     << filtered_param.DebugString();
  NetParameter param;
  InsertSplits(filtered_param, &param);

  name_ = param.name();
  map<string, int> blob_name_to_idx;
  set<string> available_blobs;
  const int num_layers = param.layer_size();
  bottom_vecs_.resize(num_layers);
  top_vecs_.resize(num_layers);
  bottom_id_vecs_.resize(num_layers);
  param_id_vecs_.resize(num_layers);
  top_id_vecs_.resize(num_layers);
  bottom_need_backward_.resize(num_layers);
  for (int layer_id = 0; layer_id < num_layers; ++layer_id) {
    if (!param.layer(layer_id).has_phase()) param.mutable_layer(layer_id)->set_phase(phase_);
    const LayerParameter& layer_param = param.layer(layer_id);
    try {
      AppendLayer(param, layer_id, &available_blobs, &blob_name_to_idx);
    } catch (const Error& error) {
      throw error.WithLayer(layer_param.name(), layer_param.type());
    }
  }
  DecideBackward(param);
  TellInputLevels(param, phase_, layers_);
  // What nobody reads is an output.
  for (const string& blob_name : available_blobs) {
    LOG_IF(INFO, Caffe::root_solver()) << "This network produces output " << blob_name;
    net_output_blobs_.push_back(blobs_[blob_name_to_idx[blob_name]].get());
    net_output_blob_indices_.push_back(blob_name_to_idx[blob_name]);
  }
  for (size_t i = 0; i < blob_names_.size(); ++i) blob_names_index_[blob_names_[i]] = static_cast<int>(i);
  for (size_t i = 0; i < layer_names_.size(); ++i) layer_names_index_[layer_names_[i]] = static_cast<int>(i);
  ShareWeights();
  debug_info_ = param.debug_info();
  LOG_IF(INFO, Caffe::root_solver()) << "Network initialization done.";
}

template <typename Dtype>
void Net<Dtype>::AppendLayer(const NetParameter& param, const int layer_id, set<string>* available_blobs,
                             map<string, int>* blob_name_to_idx) {
  const LayerParameter& layer_param = param.layer(layer_id);
  if (layer_param.propagate_down_size() > 0) {
    CHECK_EQ(layer_param.propagate_down_size(), layer_param.bottom_size())
        << "propagate_down must be given once for each bottom, or not at all";
  }
  layers_.push_back(LayerRegistry<Dtype>::CreateLayer(layer_param));
  layer_names_.push_back(layer_param.name());
  LOG_IF(INFO, Caffe::root_solver()) << "Creating Layer " << layer_param.name();

  bool need_backward = false;
  for (int bottom_id = 0; bottom_id < layer_param.bottom_size(); ++bottom_id) {
    const int blob_id = AppendBottom(param, layer_id, bottom_id, available_blobs, blob_name_to_idx);
    need_backward |= blob_need_backward_[blob_id];
  }
  int num_top = layer_param.top_size();
  for (int top_id = 0; top_id < num_top; ++top_id) {
    AppendTop(param, layer_id, top_id, available_blobs, blob_name_to_idx);
    if (layer_param.type() == "Input") {
      net_input_blob_indices_.push_back(top_id_vecs_[layer_id][top_id]);
      net_input_blobs_.push_back(top_vecs_[layer_id][top_id]);
    }
  }
  const shared_ptr<Layer<Dtype>>& layer = layers_[layer_id];
  if (layer->AutoTopBlobs()) {
    const int needed_num_top = std::max(layer->MinTopBlobs(), layer->ExactNumTopBlobs());
    for (; num_top < needed_num_top; ++num_top) AppendTop(param, layer_id, num_top, nullptr, nullptr);
  }

  layer->SetUp(bottom_vecs_[layer_id], top_vecs_[layer_id]);
  LOG_IF(INFO, Caffe::root_solver()) << "Setting up " << layer_param.name();
  for (size_t top_id = 0; top_id < top_vecs_[layer_id].size(); ++top_id) {
    const size_t blob_id = top_id_vecs_[layer_id][top_id];
    if (blob_loss_weights_.size() <= blob_id) blob_loss_weights_.resize(blob_id + 1, Dtype(0));
    const Dtype loss_weight = layer->loss(static_cast<int>(top_id));
    blob_loss_weights_[blob_id] = loss_weight;
    LOG_IF(INFO, Caffe::root_solver()) << "Top shape: " << top_vecs_[layer_id][top_id]->shape_string();
    LOG_IF(INFO, Caffe::root_solver() && loss_weight) << "    with loss weight " << loss_weight;
    memory_used_ += top_vecs_[layer_id][top_id]->count() * sizeof(Dtype);
  }
  LOG_IF(INFO, Caffe::root_solver()) << "Memory required for data: " << memory_used_;

  const int num_param_blobs = static_cast<int>(layer->blobs().size());
  CHECK_LE(layer_param.param_size(), num_param_blobs)
      << "too many param specifications: the layer has " << num_param_blobs << " parameter blob(s)";
  for (int param_id = 0; param_id < num_param_blobs; ++param_id) {
    const bool param_need_backward = ParamSpecOf(layer->layer_param(), param_id).lr_mult() != 0;
    need_backward |= param_need_backward;
    layer->set_param_propagate_down(param_id, param_need_backward);
    AppendParam(param, layer_id, param_id);
  }
  layer_need_backward_.push_back(need_backward);
  if (need_backward) {
    for (int blob_id : top_id_vecs_[layer_id]) blob_need_backward_[blob_id] = true;
  }
}

template <typename Dtype>
void Net<Dtype>::DecideBackward(const NetParameter& param) {
  // From the last layer to the first: a layer runs backward where a loss depends on it and at least one of
  // its tops passes a gradient on.
  set<string> blobs_under_loss;
  set<string> blobs_skip_backward;
  for (int layer_id = static_cast<int>(layers_.size()) - 1; layer_id >= 0; --layer_id) {
    bool contributes_loss = false;
    bool skip_backward = true;
    for (size_t top_id = 0; top_id < top_vecs_[layer_id].size(); ++top_id) {
      const string& blob_name = blob_names_[top_id_vecs_[layer_id][top_id]];
      contributes_loss |=
          layers_[layer_id]->loss(static_cast<int>(top_id)) || blobs_under_loss.count(blob_name);
      skip_backward &= blobs_skip_backward.count(blob_name) > 0;
    }
    vector<bool>& bottom_need_backward = bottom_need_backward_[layer_id];
    if (layer_need_backward_[layer_id] && skip_backward) {
      layer_need_backward_[layer_id] = false;
      std::fill(bottom_need_backward.begin(), bottom_need_backward.end(), false);
    }
    if (!contributes_loss) layer_need_backward_[layer_id] = false;
    LOG_IF(INFO, Caffe::root_solver())
        << layer_names_[layer_id]
        << (layer_need_backward_[layer_id] ? " needs backward computation."
                                           : " does not need backward computation.");
    for (size_t bottom_id = 0; bottom_id < bottom_vecs_[layer_id].size(); ++bottom_id) {
      const string& blob_name = blob_names_[bottom_id_vecs_[layer_id][bottom_id]];
      if (contributes_loss) {
        blobs_under_loss.insert(blob_name);
      } else {
        bottom_need_backward[bottom_id] = false;
      }
      if (!bottom_need_backward[bottom_id]) blobs_skip_backward.insert(blob_name);
    }
  }
  if (!param.force_backward()) return;
  for (size_t layer_id = 0; layer_id < layers_.size(); ++layer_id) {
    layer_need_backward_[layer_id] = true;
    for (size_t bottom_id = 0; bottom_id < bottom_need_backward_[layer_id].size(); ++bottom_id) {
      const bool forced = bottom_need_backward_[layer_id][bottom_id] ||
                          layers_[layer_id]->AllowForceBackward(static_cast<int>(bottom_id));
      bottom_need_backward_[layer_id][bottom_id] = forced;
      const int blob_id = bottom_id_vecs_[layer_id][bottom_id];
      blob_need_backward_[blob_id] = blob_need_backward_[blob_id] || forced;
    }
    for (size_t param_id = 0; param_id < layers_[layer_id]->blobs().size(); ++param_id) {
      layers_[layer_id]->set_param_propagate_down(static_cast<int>(param_id), true);
    }
  }
}

template <typename Dtype>
void Net<Dtype>::AppendTop(const NetParameter& param, const int layer_id, const int top_id,
                           set<string>* available_blobs, map<string, int>* blob_name_to_idx) {
  const LayerParameter& layer_param = param.layer(layer_id);
  const string blob_name = top_id < layer_param.top_size() ? layer_param.top(top_id) : "(automatic)";
  const bool in_place =
      blob_name_to_idx && layer_param.bottom_size() > top_id && blob_name == layer_param.bottom(top_id);
  if (in_place) {
    LOG_IF(INFO, Caffe::root_solver()) << layer_param.name() << " -> " << blob_name << " (in-place)";
    const int blob_id = (*blob_name_to_idx)[blob_name];
    top_vecs_[layer_id].push_back(blobs_[blob_id].get());
    top_id_vecs_[layer_id].push_back(blob_id);
  } else {
    if (blob_name_to_idx && blob_name_to_idx->count(blob_name)) {
      LOG(FATAL) << "top blob '" << blob_name
                 << "' is produced by multiple layers; give one of them another name";
    }
    LOG_IF(INFO, Caffe::root_solver()) << layer_param.name() << " -> " << blob_name;
    const int blob_id = static_cast<int>(blobs_.size());
    blobs_.push_back(std::make_shared<Blob<Dtype>>());
    blob_names_.push_back(blob_name);
    blob_need_backward_.push_back(false);
    if (blob_name_to_idx) (*blob_name_to_idx)[blob_name] = blob_id;
    top_id_vecs_[layer_id].push_back(blob_id);
    top_vecs_[layer_id].push_back(blobs_[blob_id].get());
  }
  if (available_blobs) available_blobs->insert(blob_name);
}

template <typename Dtype>
int Net<Dtype>::AppendBottom(const NetParameter& param, const int layer_id, const int bottom_id,
                             set<string>* available_blobs, map<string, int>* blob_name_to_idx) {
  const LayerParameter& layer_param = param.layer(layer_id);
  const string& blob_name = layer_param.bottom(bottom_id);
  if (!available_blobs->count(blob_name)) {
    const vector<string> known(available_blobs->begin(), available_blobs->end());
    LOG(FATAL) << "unknown bottom blob '" << blob_name << "' (bottom index " << bottom_id
               << "): no layer before it makes a top of that name" << DidYouMean(blob_name, known);
  }
  LOG_IF(INFO, Caffe::root_solver()) << layer_names_[layer_id] << " <- " << blob_name;
  const int blob_id = (*blob_name_to_idx)[blob_name];
  bottom_vecs_[layer_id].push_back(blobs_[blob_id].get());
  bottom_id_vecs_[layer_id].push_back(blob_id);
  available_blobs->erase(blob_name);
  const bool need_backward = layer_param.propagate_down_size() > 0 ? layer_param.propagate_down(bottom_id)
                                                                   : blob_need_backward_[blob_id];
  bottom_need_backward_[layer_id].push_back(need_backward);
  return blob_id;
}

namespace {

// A multiplier given for a shared parameter must be the owner's; the owner takes it over if it has none.
void AgreeOnMultiplier(const char* field, const string& param_name, bool given, float value, int owner,
                       vector<float>* values, vector<bool>* has_values) {
  if (!given) return;
  if ((*has_values)[owner]) {
    CHECK_EQ(value, (*values)[owner])
        << "shared parameter '" << param_name << "' has another " << field << " in the layer that owns it";
  } else {
    (*has_values)[owner] = true;
    (*values)[owner] = value;
  }
}

}  // namespace

template <typename Dtype>
void Net<Dtype>::AppendParam(const NetParameter&, const int layer_id, const int param_id) {
  const ParamSpec spec = ParamSpecOf(layers_[layer_id]->layer_param(), param_id);
  const string& param_name = spec.name();
  param_display_names_.push_back(param_name.empty() ? std::to_string(param_id) : param_name);
  const int net_param_id = static_cast<int>(params_.size());
  Blob<Dtype>* blob = layers_[layer_id]->blobs()[param_id].get();
  params_.push_back(layers_[layer_id]->blobs()[param_id]);
  param_id_vecs_[layer_id].push_back(net_param_id);
  param_layer_indices_.push_back(make_pair(layer_id, param_id));

  const auto owner = param_names_index_.find(param_name);
  if (param_name.empty() || owner == param_names_index_.end()) {
    param_owners_.push_back(-1);
    if (!param_name.empty()) param_names_index_[param_name] = net_param_id;
    learnable_param_ids_.push_back(static_cast<int>(learnable_params_.size()));
    learnable_params_.push_back(blob);
    gives_gradient_.push_back(false);
    has_params_lr_.push_back(spec.has_lr_mult());
    has_params_decay_.push_back(spec.has_decay_mult());
    params_lr_.push_back(spec.lr_mult());
    params_weight_decay_.push_back(spec.decay_mult());
    return;
  }

  const int owner_net_param_id = owner->second;
  param_owners_.push_back(owner_net_param_id);
  const pair<int, int>& owner_index = param_layer_indices_[owner_net_param_id];
  LOG_IF(INFO, Caffe::root_solver()) << "Sharing parameters '" << param_name << "' owned by layer '"
                                     << layer_names_[owner_index.first] << "', param index "
                                     << owner_index.second;
  Blob<Dtype>* owner_blob = layers_[owner_index.first]->blobs()[owner_index.second].get();
  const bool permissive = spec.share_mode() == ParamSpec::PERMISSIVE;
  const bool fits = permissive ? blob->count() == owner_blob->count() : blob->shape() == owner_blob->shape();
  if (!fits) {
    LOG(FATAL) << "cannot share parameter '" << param_name << "' with layer '"
               << layer_names_[owner_index.first] << "': shape " << blob->shape_string() << " here, "
               << owner_blob->shape_string() << " there"
               << (permissive ? "" : " (share_mode: PERMISSIVE asks for equal counts only)");
  }
  const int learnable_param_id = learnable_param_ids_[owner_net_param_id];
  learnable_param_ids_.push_back(learnable_param_id);
  AgreeOnMultiplier("lr_mult", param_name, spec.has_lr_mult(), spec.lr_mult(), learnable_param_id,
                    &params_lr_, &has_params_lr_);
  AgreeOnMultiplier("decay_mult", param_name, spec.has_decay_mult(), spec.decay_mult(), learnable_param_id,
                    &params_weight_decay_, &has_params_decay_);
}

template <typename Dtype>
void Net<Dtype>::FilterNet(const NetParameter& param, NetParameter* param_filtered) {
  const NetState& state = param.state();
  const auto excluded = [&state](const LayerParameter& layer) {
    if (layer.include_size() > 0 && layer.exclude_size() > 0) {
      throw Error("has both include and exclude rules; give rules of one kind", layer.name(), layer.type());
    }
    const auto meets = [&](const NetStateRule& rule) { return StateMeetsRule(state, rule, layer.name()); };
    if (layer.include_size() == 0) return std::any_of(layer.exclude().begin(), layer.exclude().end(), meets);
    return std::none_of(layer.include().begin(), layer.include().end(), meets);
  };
  param_filtered->CopyFrom(param);
  auto* layers = param_filtered->mutable_layer();
  layers->erase(std::remove_if(layers->begin(), layers->end(), excluded), layers->end());
}

template <typename Dtype>
bool Net<Dtype>::StateMeetsRule(const NetState& state, const NetStateRule& rule, const string& layer_name) {
  const auto refuse = [&layer_name](const string& reason) {
    LOG_IF(INFO, Caffe::root_solver()) << "The NetState " << reason << " in layer " << layer_name;
    return false;
  };
  if (rule.has_phase() && rule.phase() != state.phase()) {
    return refuse("phase (" + Phase_Name(state.phase()) + ") differed from the phase (" +
                  Phase_Name(rule.phase()) + ") specified by a rule");
  }
  if (rule.has_min_level() && state.level() < rule.min_level()) {
    return refuse("level (" + std::to_string(state.level()) + ") is below the min_level (" +
                  std::to_string(rule.min_level()) + ") specified by a rule");
  }
  if (rule.has_max_level() && state.level() > rule.max_level()) {
    return refuse("level (" + std::to_string(state.level()) + ") is above the max_level (" +
                  std::to_string(rule.max_level()) + ") specified by a rule");
  }
  const set<string> stages(state.stage().begin(), state.stage().end());
  for (const string& stage : rule.stage()) {
    if (!stages.count(stage)) return refuse("did not contain stage '" + stage + "' specified by a rule");
  }
  for (const string& stage : rule.not_stage()) {
    if (stages.count(stage)) return refuse("contained a not_stage '" + stage + "' specified by a rule");
  }
  return true;
}

template <typename Dtype>
const vector<int>& Net<Dtype>::top_ids(int i) const {
  CHECK(i >= 0 && i < static_cast<int>(top_id_vecs_.size())) << "there is no layer " << i;
  return top_id_vecs_[i];
}

template <typename Dtype>
const vector<int>& Net<Dtype>::bottom_ids(int i) const {
  CHECK(i >= 0 && i < static_cast<int>(bottom_id_vecs_.size())) << "there is no layer " << i;
  return bottom_id_vecs_[i];
}

template <typename Dtype>
bool Net<Dtype>::has_blob(const string& blob_name) const {
  return blob_names_index_.count(blob_name) > 0;
}

template <typename Dtype>
const shared_ptr<Blob<Dtype>> Net<Dtype>::blob_by_name(const string& blob_name) const {
  const auto found = blob_names_index_.find(blob_name);
  if (found != blob_names_index_.end()) return blobs_[found->second];
  LOG(WARNING) << "Unknown blob name " << blob_name;
  return nullptr;
}

template <typename Dtype>
bool Net<Dtype>::has_layer(const string& layer_name) const {
  return layer_names_index_.count(layer_name) > 0;
}

template <typename Dtype>
const shared_ptr<Layer<Dtype>> Net<Dtype>::layer_by_name(const string& layer_name) const {
  const auto found = layer_names_index_.find(layer_name);
  if (found != layer_names_index_.end()) return layers_[found->second];
  LOG(WARNING) << "Unknown layer name " << layer_name;
  return nullptr;
}

INSTANTIATE_CLASS(Net);

}  // namespace caffe
