// A Net's parameters: sharing them, copying them from other nets and files, saving them.
#include <algorithm>
#include <functional>
#include <memory>

#include "caffe/net.hpp"
#include "caffe/util/hdf5.hpp"
#include "caffe/util/weight_match.hpp"
#include "caffe/util/weights_file.hpp"

namespace caffe {

namespace {

// Runs a comparison of a source layer with the net's layer of that name. Its error gets the layer's name and
// the ways out, and the source's file where that is one.
template <typename Dtype>
void CheckFits(const string& file, const string& name, const Layer<Dtype>& layer,
               const std::function<void()>& check) {
  try {
    check();
  } catch (const Error& error) {
    throw Error(
        error.message() +
            "; to train this layer from scratch, rename it; to use the source's parameters, define it as "
            "there",
        name, layer.type(), file);
  }
}

void CheckBlobCount(size_t stored, size_t expected) {
  if (stored == expected) return;
  throw Error("another number of parameter blobs: the source has " + std::to_string(stored) + ", this net " +
              std::to_string(expected));
}

[[noreturn]] void ThrowShapeMismatch(size_t index, const string& stored, const string& expected) {
  throw Error("shape mismatch in parameter " + std::to_string(index) + ": the source has " + stored +
              ", this net " + expected);
}

/// Whether a layer was saved with weights that it binarized when it ran; packed ones are binarized.
bool IsBinarizing(const LayerParameter& layer) {
  if (layer.blobs_size() > 0 && layer.blobs(0).has_signs()) return false;
  return (layer.type() == "BinaryConvolution" && layer.binary_convolution_param().use_binarization()) ||
         (layer.type() == "BinaryInnerProduct" && layer.binary_inner_product_param().use_binarization());
}

template <typename Dtype>
string Shapes(const Layer<Dtype>& layer) {
  string shapes;
  for (const auto& blob : const_cast<Layer<Dtype>&>(layer).blobs()) {
    shapes += (shapes.empty() ? "" : ", ") + blob->shape_string();
  }
  return shapes;
}

string StoredShape(const BlobProto& proto) {
  Blob<float> blob;
  if (proto.has_shape()) {
    blob.Reshape(proto.shape());
  } else {
    blob.Reshape(proto.num(), proto.channels(), proto.height(), proto.width());
  }
  return blob.shape_string();
}

string StoredShapes(const LayerParameter& layer) {
  string shapes;
  for (const BlobProto& blob : layer.blobs()) shapes += (shapes.empty() ? "" : ", ") + StoredShape(blob);
  return shapes.empty() ? "none" : shapes;
}

}  // namespace

template <typename Dtype>
void Net<Dtype>::ShareWeights() {
  for (size_t i = 0; i < params_.size(); ++i) {
    if (param_owners_[i] < 0) continue;
    params_[i]->ShareData(*params_[param_owners_[i]]);
    params_[i]->ShareDiff(*params_[param_owners_[i]]);
  }
}

template <typename Dtype>
Layer<Dtype>* Net<Dtype>::TargetOf(const string& source_layer) const {
  const auto found = layer_names_index_.find(source_layer);
  if (found != layer_names_index_.end()) return layers_[found->second].get();
  LOG_IF(INFO, Caffe::root_solver()) << "Ignoring source layer " << source_layer;
  return nullptr;
}

template <typename Dtype>
void Net<Dtype>::ShareTrainedLayersWith(const Net* other) {
  const std::scoped_lock lock(mutex_, other->mutex_);
  for (size_t i = 0; i < other->layers().size(); ++i) {
    const string& name = other->layer_names()[i];
    Layer<Dtype>* layer = TargetOf(name);
    if (!layer) continue;
    const auto& source = other->layers()[i]->blobs();
    auto& target = layer->blobs();
    CheckFits("", name, *layer, [&] {
      CheckBlobCount(source.size(), target.size());
      for (size_t j = 0; j < target.size(); ++j) {
        if (source[j]->shape() == target[j]->shape()) continue;
        ThrowShapeMismatch(j, source[j]->shape_string(), target[j]->shape_string());
      }
    });
    for (size_t j = 0; j < target.size(); ++j) target[j]->ShareData(*source[j]);
  }
}

template <typename Dtype>
void Net<Dtype>::CopyTrainedLayersFrom(const NetParameter& param) {
  CopyMatching(param, [&](int layer, int blob, Blob<Dtype>* target) {
    target->FromProto(param.layer(layer).blobs(blob), false);
  });
}

template <typename Dtype>
void Net<Dtype>::CopyMatching(const NetParameter& param,
                              const std::function<void(int, int, Blob<Dtype>*)>& copy) {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  vector<pair<int, Layer<Dtype>*>> matches;
  bool any_parameter = false;
  WeightMatch match;
  std::unique_ptr<Error> misfit;
  string not_binarized;
  for (int i = 0; i < param.layer_size(); ++i) {
    const LayerParameter& source = param.layer(i);
    Layer<Dtype>* layer = TargetOf(source.name());
    if (!layer) {
      if (source.blobs_size() > 0) {
        match.Add(WeightMatch::LEFT_OVER, source.name(), source.type(), StoredShapes(source));
      }
      continue;
    }
    const auto& target = layer->blobs();
    try {
      CheckFits("", source.name(), *layer, [&] {
        CheckBlobCount(source.blobs_size(), target.size());
        for (size_t j = 0; j < target.size(); ++j) {
          const BlobProto& stored = source.blobs(static_cast<int>(j));
          if (target[j]->ShapeEquals(stored)) continue;
          ThrowShapeMismatch(j, StoredShape(stored), target[j]->shape_string());
        }
      });
    } catch (const Error& error) {
      match.Add(WeightMatch::DIFFERS, source.name(), layer->type(),
                Shapes(*layer) + "; the source has " + StoredShapes(source));
      if (!misfit) misfit = std::make_unique<Error>(error);
      continue;
    }
    if (!target.empty() && IsBinarizing(source) && string(layer->type()).rfind("Binary", 0) != 0) {
      not_binarized += (not_binarized.empty() ? "" : ", ") + source.name();
    }
    any_parameter |= !target.empty();
    matches.emplace_back(i, layer);
    if (!target.empty()) match.Add(WeightMatch::MATCHED, source.name(), layer->type(), Shapes(*layer));
  }
  AddMissing(&match);
  if (misfit) {
    LOG(WARNING) << "The parameters do not fit net '" << name_ << "': " << match.Table();
    if (match.Count(WeightMatch::DIFFERS) == 1) throw *misfit;
    throw Error(misfit->message() + ". The layers that do not fit are " + match.Names(WeightMatch::DIFFERS),
                misfit->layer_name(), misfit->layer_type());
  }
  if (!not_binarized.empty()) {
    const string what =
        "the weights of " + not_binarized +
        " are those of binary layers, which binarize them when they run; the layers of net '" + name_ +
        "' do not";
    // Training may begin with them; what is deployed would compute something else, without a word.
    if (phase_ == TEST) {
      throw Error(what +
                  ": give them to the net with binary layers (deploy.prototxt), or make binarized "
                  "weights for this one with caffe binarize");
    }
    LOG(WARNING) << what;
  }
  for (const auto& [i, layer] : matches) {
    const LayerParameter& source = param.layer(i);
    LOG_IF(INFO, Caffe::root_solver() && source.blobs_size() > 0) << "Copying source layer " << source.name();
    try {
      for (int j = 0; j < source.blobs_size(); ++j) copy(i, j, layer->blobs()[j].get());
    } catch (const Error& error) {
      throw error.WithLayer(source.name(), layer->type());
    }
  }
  LOG_IF(INFO, Caffe::root_solver()) << "Parameters of net '" << name_ << "': " << match.Table();
  WarnIfNothingCopied(any_parameter);
}

template <typename Dtype>
void Net<Dtype>::AddMissing(WeightMatch* match) const {
  for (size_t i = 0; i < layers_.size(); ++i) {
    const bool owns = std::any_of(param_id_vecs_[i].begin(), param_id_vecs_[i].end(),
                                  [this](int id) { return param_owners_[id] < 0; });
    if (owns && !match->Has(layer_names_[i])) {
      match->Add(WeightMatch::MISSING, layer_names_[i], layers_[i]->type(), Shapes(*layers_[i]));
    }
  }
}

template <typename Dtype>
void Net<Dtype>::WarnIfNothingCopied(bool any_parameter) const {
  if (any_parameter || params_.empty()) return;
  LOG(WARNING) << "No parameters were copied to net '" << name_
               << "': none of its layers with parameters has the name of a source layer";
}

template <typename Dtype>
void Net<Dtype>::CopyTrainedLayersFrom(const string& trained_filename) {
  if (IsHdf5File(trained_filename)) {
    CopyTrainedLayersFromHDF5(trained_filename);
  } else {
    CopyTrainedLayersFromBinaryProto(trained_filename);
  }
}

template <typename Dtype>
void Net<Dtype>::CopyTrainedLayersFromBinaryProto(const string& trained_filename) {
  const WeightsFile file(trained_filename);
  try {
    CopyMatching(file.net(),
                 [&file](int layer, int blob, Blob<Dtype>* target) { file.CopyBlob(layer, blob, target); });
  } catch (const Error& error) {
    throw error.WithFile(trained_filename);
  }
}

template <typename Dtype>
void Net<Dtype>::ToProto(NetParameter* param, bool write_diff) const {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  param->Clear();
  param->set_name(name_);
  for (const auto& layer : layers_) layer->ToProto(param->add_layer(), write_diff);
}

#ifdef USE_HDF5

namespace {

struct StoredLayer {
  string name;
  int num_blobs;
};

// Groups that a file may have; one that refers to itself has no end of them.
constexpr int kMostGroups = 1 << 16;
constexpr int kMostGroupsInGroups = 64;

// The layers whose groups are below this one, which is the `depth`th below the first. A layer's name may have
// slashes ("inception/1x1"), which to HDF5 are groups in groups.
void FindLayers(hid_t group, const string& prefix, int depth, int* num_groups, vector<StoredLayer>* layers) {
  CHECK(depth <= kMostGroupsInGroups && ++*num_groups <= kMostGroups)
      << "there are too many groups, or one refers to itself: '" << prefix << "'";
  const int num_links = hdf5_get_num_links(group);
  int num_blobs = 0;
  for (int i = 0; i < num_links; ++i) {
    const string name = hdf5_get_name_by_idx(group, i);
    if (Hdf5IsGroup(group, name)) {
      FindLayers(Hdf5OpenGroup(group, name).get(), prefix.empty() ? name : prefix + "/" + name, depth + 1,
                 num_groups, layers);
    } else {
      ++num_blobs;
    }
  }
  if (!prefix.empty() && (num_blobs > 0 || num_links == 0)) layers->push_back({prefix, num_blobs});
}

}  // namespace

template <typename Dtype>
void Net<Dtype>::CopyTrainedLayersFromHDF5(const string& trained_filename) {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  const Hdf5Handle file = Hdf5OpenFile(trained_filename);
  const Hdf5Handle data = Hdf5OpenGroup(file.get(), "data");
  vector<StoredLayer> sources;
  int num_groups = 0;
  try {
    FindLayers(data.get(), "", 0, &num_groups, &sources);
  } catch (const Error& error) {
    throw error.WithFile(trained_filename);
  }
  // What is to be read into which blob: all is compared before any is read.
  vector<pair<string, Blob<Dtype>*>> datasets;
  bool any_parameter = false;
  WeightMatch match;
  for (const StoredLayer& source : sources) {
    Layer<Dtype>* layer = TargetOf(source.name);
    if (!layer) {
      if (source.num_blobs > 0) {
        match.Add(WeightMatch::LEFT_OVER, source.name, "", std::to_string(source.num_blobs) + " parameters");
      }
      continue;
    }
    const auto& target = layer->blobs();
    const vector<int>& param_ids = param_id_vecs_[layer_names_index_.at(source.name)];
    CheckFits(trained_filename, source.name, *layer, [&] {
      int num_found = 0;
      for (size_t j = 0; j < param_ids.size(); ++j) {
        const string dataset = source.name + "/" + std::to_string(j);
        if (Hdf5Exists(data.get(), dataset)) {
          ++num_found;
          hdf5_load_nd_dataset_helper(data.get(), dataset.c_str(), 0, kMaxBlobAxes, target[j].get(), false);
          datasets.emplace_back(dataset, target[j].get());
        } else if (param_owners_[param_ids[j]] < 0) {
          CheckBlobCount(source.num_blobs, target.size());
        }
      }
      if (source.num_blobs > num_found) CheckBlobCount(source.num_blobs, target.size());
    });
    any_parameter |= !target.empty();
    if (target.empty()) continue;
    LOG_IF(INFO, Caffe::root_solver()) << "Copying source layer " << source.name;
    match.Add(WeightMatch::MATCHED, source.name, layer->type(), Shapes(*layer));
  }
  for (const auto& [dataset, blob] : datasets) {
    hdf5_load_nd_dataset<Dtype>(data.get(), dataset.c_str(), 0, kMaxBlobAxes, blob);
  }
  AddMissing(&match);
  LOG_IF(INFO, Caffe::root_solver()) << "Parameters of net '" << name_ << "': " << match.Table();
  WarnIfNothingCopied(any_parameter);
}

template <typename Dtype>
void Net<Dtype>::ToHDF5(const string& filename, bool write_diff) const {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  Hdf5WriteFile(filename, [&](hid_t file) {
    const Hdf5Handle data = Hdf5CreateGroup(file, "data");
    const Hdf5Handle diff = write_diff ? Hdf5CreateGroup(file, "diff") : Hdf5Handle();
    for (size_t i = 0; i < layers_.size(); ++i) {
      const Hdf5Handle layer_data = Hdf5CreateGroup(data.get(), layer_names_[i]);
      const Hdf5Handle layer_diff = write_diff ? Hdf5CreateGroup(diff.get(), layer_names_[i]) : Hdf5Handle();
      for (size_t j = 0; j < param_id_vecs_[i].size(); ++j) {
        const Blob<Dtype>& blob = *layers_[i]->blobs()[j];
        const bool owned = param_owners_[param_id_vecs_[i][j]] < 0;
        if (owned) hdf5_save_nd_dataset<Dtype>(layer_data.get(), std::to_string(j), blob);
        if (write_diff) hdf5_save_nd_dataset<Dtype>(layer_diff.get(), std::to_string(j), blob, true);
      }
    }
  });
}

#else

template <typename Dtype>
void Net<Dtype>::CopyTrainedLayersFromHDF5(const string&) {
  NO_HDF5;
}

template <typename Dtype>
void Net<Dtype>::ToHDF5(const string&, bool) const {
  NO_HDF5;
}

#endif  // USE_HDF5

#define INSTANTIATE(Dtype)                                                   \
  template void Net<Dtype>::ShareWeights();                                  \
  template void Net<Dtype>::ShareTrainedLayersWith(const Net*);              \
  template void Net<Dtype>::CopyTrainedLayersFrom(const NetParameter&);      \
  template void Net<Dtype>::CopyTrainedLayersFrom(const string&);            \
  template void Net<Dtype>::CopyTrainedLayersFromBinaryProto(const string&); \
  template void Net<Dtype>::CopyTrainedLayersFromHDF5(const string&);        \
  template void Net<Dtype>::ToProto(NetParameter*, bool) const;              \
  template void Net<Dtype>::ToHDF5(const string&, bool) const
INSTANTIATE(float);
INSTANTIATE(double);

}  // namespace caffe
