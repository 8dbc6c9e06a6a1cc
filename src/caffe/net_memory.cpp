// Memory that goes from blob to blob of a Net within a pass.
#include <algorithm>
#include <map>
#include <numeric>

#include "caffe/net.hpp"

namespace caffe {

namespace {

bool Contains(const vector<int>& ids, int id) { return std::find(ids.begin(), ids.end(), id) != ids.end(); }

// Memory that is shared, as a Split's tops share it, must stay what it is, and so must what somebody has
// written ahead, as some losses do with gradients in Forward.
bool IsFree(const shared_ptr<SyncedMemory>& memory) {
  return MemoryPool::IsOnlyHere(memory) && memory->head() == SyncedMemory::UNINITIALIZED;
}

}  // namespace

template <typename Dtype>
void Net<Dtype>::set_reuses_memory(bool value) {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  if (value == reuses_memory_) return;
  reuses_memory_ = value;
  for (const auto& layer : layers_) {
    layer->SetReusesMemory(value);
    layer->SetBottomMaker(nullptr, 0);
  }
  JoinLayers(false);
  if (value) {
    PlanReuse();
    return;
  }
  for (size_t id = 0; id < has_lent_data_.size(); ++id) {
    if (has_lent_data_[id]) blobs_[id]->ExchangeData(nullptr);
    if (has_lent_diff_[id]) blobs_[id]->ExchangeDiff(nullptr);
  }
  for (const vector<Blob<Dtype>*>& blobs : lent_kept_) {
    for (Blob<Dtype>* blob : blobs) blob->ExchangeData(nullptr);
  }
  lent_kept_.clear();
  has_lent_data_.clear();
  has_lent_diff_.clear();
  pool_.Clear();
}

template <typename Dtype>
void Net<Dtype>::PlanReuse() {
  is_kept_.assign(blobs_.size(), false);
  is_shared_.assign(blobs_.size(), false);
  for (const vector<int>* ids : {&net_input_blob_indices_, &net_output_blob_indices_}) {
    for (const int id : *ids) is_kept_[id] = true;
  }
  first_written_.assign(layers_.size(), {});
  last_read_.assign(layers_.size(), {});
  users_.assign(blobs_.size(), {});
  origins_.resize(blobs_.size());
  std::iota(origins_.begin(), origins_.end(), 0);
  makers_.assign(blobs_.size(), -1);
  maker_tops_.assign(blobs_.size(), -1);
  vector<int> last_reader(blobs_.size(), -1);
  vector<bool> is_written(blobs_.size(), false), is_overwritten(blobs_.size(), false);
  for (int i = 0; i < static_cast<int>(layers_.size()); ++i) {
    for (const int id : bottom_id_vecs_[i]) {
      last_reader[id] = i;
      users_[id].push_back(i);
    }
    if (!bottom_id_vecs_[i].empty()) {
      const int id = bottom_id_vecs_[i][0];
      if (makers_[id] >= 0) layers_[i]->SetBottomMaker(layers_[makers_[id]].get(), maker_tops_[id]);
    }
    for (int j = 0; j < static_cast<int>(top_id_vecs_[i].size()); ++j) {
      const int id = top_id_vecs_[i][j];
      users_[id].push_back(i);
      if (bottom_id_vecs_[i].empty() || blob_loss_weights_[id] != 0) is_kept_[id] = true;
      if (!is_written[id]) first_written_[i].push_back(id);
      if (IsSplit(i)) {
        is_shared_[id] = true;
        origins_[id] = origins_[bottom_id_vecs_[i][0]];
      } else {
        makers_[id] = i;
        maker_tops_[id] = j;
      }
      if (is_written[id]) is_overwritten[origins_[id]] = true;
      is_written[id] = true;
    }
  }
  readers_of_data_.assign(blobs_.size(), {});
  for (size_t id = 0; id < blobs_.size(); ++id) {
    const int origin = origins_[id];
    makers_[id] = is_overwritten[origin] ? -1 : makers_[origin];
    maker_tops_[id] = maker_tops_[origin];
  }
  for (int i = 0; i < static_cast<int>(layers_.size()); ++i) {
    if (IsSplit(i)) continue;
    for (int j = 0; j < static_cast<int>(bottom_id_vecs_[i].size()); ++j) {
      const int id = bottom_id_vecs_[i][j], origin = origins_[id];
      readers_of_data_[origin].push_back({i, j});
      // A Split makes none of what it hands on.
      if (j == 0 && id != origin && makers_[id] >= 0) {
        layers_[i]->SetBottomMaker(layers_[makers_[id]].get(), maker_tops_[id]);
      }
    }
  }
  joinable_.clear();
  for (int i = 1; i < static_cast<int>(layers_.size()); ++i) {
    const vector<int>& ids = bottom_id_vecs_[i];
    const bool is_in_place = bottom_id_vecs_[i - 1] == ids && top_id_vecs_[i - 1] == ids;
    if (ids.size() != 1 || !is_in_place || is_kept_[ids[0]]) continue;
    const bool ends_it = last_reader[ids[0]] == i && !Contains(top_id_vecs_[i], ids[0]);
    const bool is_in_place_too = top_id_vecs_[i] == ids;
    if (ends_it || is_in_place_too) joinable_.push_back(i);
  }
  for (int id = 0; id < static_cast<int>(blobs_.size()); ++id) {
    if (last_reader[id] >= 0) last_read_[last_reader[id]].push_back(id);
  }
  has_lent_data_.assign(blobs_.size(), false);
  has_lent_diff_.assign(blobs_.size(), false);
  is_data_gone_.assign(blobs_.size(), false);
  lent_kept_.assign(layers_.size(), {});
  are_kept_gone_.assign(layers_.size(), false);
}

// Not where somebody looks at the tops between two layers.
template <typename Dtype>
bool Net<Dtype>::TrainsUnseen() const {
  return reuses_memory_ && phase_ == TRAIN && !debug_info_ && before_forward_.empty() &&
         after_forward_.empty();
}

template <typename Dtype>
void Net<Dtype>::JoinLayers(bool are_joined) {
  if (are_joined == are_joined_ && joined_mode_ == Caffe::mode()) return;
  are_joined_ = are_joined;
  joined_mode_ = Caffe::mode();
  for (const int i : joinable_) layers_[i]->JoinMaker(are_joined ? layers_[i - 1].get() : nullptr);
}

// Asked at each pass, as a layer's answer may depend on whether it runs on a GPU.
template <typename Dtype>
bool Net<Dtype>::MayReuseData(int blob_id) const {
  if (is_kept_[blob_id]) return false;
  if (phase_ == TEST) return true;
  const bool may_restore = MayRestoreData(blob_id);
  for (const int i : users_[blob_id]) {
    if (!layer_need_backward_[i]) continue;
    const vector<int>&bottoms = bottom_id_vecs_[i], &tops = top_id_vecs_[i];
    for (size_t j = 0; j < bottoms.size(); ++j) {
      if (bottoms[j] != blob_id || may_restore) continue;
      if (layers_[i]->ReadsBottomData(static_cast<int>(j))) return false;
    }
    for (size_t j = 0; j < tops.size(); ++j) {
      if (tops[j] == blob_id && layers_[i]->ReadsTopData(static_cast<int>(j))) return false;
    }
  }
  return true;
}

template <typename Dtype>
bool Net<Dtype>::MayRestoreData(int blob_id) const {
  return makers_[blob_id] >= 0 && layers_[makers_[blob_id]]->RestoresTop(maker_tops_[blob_id]);
}

// Where nobody looks at blobs between two layers.
template <typename Dtype>
void Net<Dtype>::OfferCodes(int layer_id) {
  for (int j = 0; j < static_cast<int>(top_id_vecs_[layer_id].size()); ++j) {
    const int id = top_id_vecs_[layer_id][j];
    if (!layers_[layer_id]->RestoresTop(j)) continue;
    const bool offered = are_joined_ && makers_[id] == layer_id;
    // Somebody may look at it after the pass.
    const auto& readers = readers_of_data_[id];
    const bool alone = offered && !is_kept_[id] && IsFree(blobs_[id]->data()) && MayReuseData(id) &&
                       std::all_of(readers.begin(), readers.end(), [&](const auto& reader) {
                         return layers_[reader.first]->ReadsBottomCodes(reader.second);
                       });
    layers_[layer_id]->OfferTopCodes(j, offered, alone);
    is_data_gone_[id] = alone;
  }
}

template <typename Dtype>
bool Net<Dtype>::IsSplit(int layer_id) const {
  return string(layers_[layer_id]->type()) == "Split";
}

template <typename Dtype>
void Net<Dtype>::LendData(int layer_id) {
  for (const int id : first_written_[layer_id]) is_data_gone_[id] = false;
  // The memory of the last pass, which several readers shared.
  if (IsSplit(layer_id)) {
    for (const int id : top_id_vecs_[layer_id]) pool_.Give(blobs_[id]->ExchangeData(nullptr));
    return;
  }
  OfferCodes(layer_id);
  for (const int id : first_written_[layer_id]) {
    Blob<Dtype>& blob = *blobs_[id];
    if (is_data_gone_[id] || has_lent_data_[id] || blob.count() == 0 || !IsFree(blob.data()) ||
        !MayReuseData(id))
      continue;
    blob.ExchangeData(pool_.Take(blob.data()->size()));
    has_lent_data_[id] = true;
  }
}

template <typename Dtype>
void Net<Dtype>::TakeBackData(int layer_id) {
  for (const int id : last_read_[layer_id]) {
    if (!has_lent_data_[id] && !(is_shared_[id] && MayReuseData(id))) continue;
    // Of those that share memory the last one gives it back.
    pool_.Give(blobs_[id]->ExchangeData(nullptr));
    has_lent_data_[id] = false;
    is_data_gone_[id] = MayRestoreData(id);
  }
}

template <typename Dtype>
void Net<Dtype>::LendKeptBlobs(int layer_id, const vector<Blob<Dtype>*>& blobs) {
  are_kept_gone_[layer_id] = false;
  if (!layer_need_backward_[layer_id] || phase_ == TEST) return;
  for (Blob<Dtype>* blob : blobs) {
    if (blob->count() == 0 || !IsFree(blob->data())) continue;
    blob->ExchangeData(pool_.Take(blob->data()->size()));
    lent_kept_[layer_id].push_back(blob);
  }
}

template <typename Dtype>
void Net<Dtype>::TakeBackKeptBlobs(int layer_id) {
  for (Blob<Dtype>* blob : lent_kept_[layer_id]) {
    pool_.Give(blob->ExchangeData(nullptr));
    are_kept_gone_[layer_id] = true;
  }
  lent_kept_[layer_id].clear();
}

template <typename Dtype>
void Net<Dtype>::RestoreData(int layer_id, bool computes) {
  for (size_t i = 0; i < bottom_id_vecs_[layer_id].size(); ++i) {
    const int id = bottom_id_vecs_[layer_id][i], origin = origins_[id];
    if (!is_data_gone_[id] || !layers_[layer_id]->ReadsBottomData(static_cast<int>(i))) continue;
    Blob<Dtype>& whole = *blobs_[origin];
    if (is_data_gone_[origin]) {
      // Somebody may have looked at it since.
      if (IsFree(whole.data())) {
        whole.ExchangeData(pool_.Take(whole.data()->size()));
        has_lent_data_[origin] = true;
      }
      if (computes) layers_[makers_[id]]->RestoreTop(maker_tops_[id], &whole);
      is_data_gone_[origin] = false;
    }
    if (id != origin) blobs_[id]->ShareData(whole);
    is_data_gone_[id] = false;
  }
}

// By then all who read it have run.
template <typename Dtype>
void Net<Dtype>::TakeBackRestoredData(int layer_id) {
  for (const int id : top_id_vecs_[layer_id]) {
    if (!(has_lent_data_[id] || is_shared_[id]) || !MayReuseData(id) || !MayRestoreData(id)) continue;
    pool_.Give(blobs_[id]->ExchangeData(nullptr));
    has_lent_data_[id] = false;
    is_data_gone_[id] = true;
  }
}

template <typename Dtype>
void Net<Dtype>::LendDiffs(int layer_id) {
  for (size_t i = 0; i < bottom_id_vecs_[layer_id].size(); ++i) {
    const int id = bottom_id_vecs_[layer_id][i];
    Blob<Dtype>& blob = *blobs_[id];
    if (!bottom_need_backward_[layer_id][i] || is_kept_[id] || has_lent_diff_[id] || blob.count() == 0 ||
        Contains(top_id_vecs_[layer_id], id) || !IsFree(blob.diff())) {
      continue;
    }
    const int top = top_id_vecs_[layer_id][0];
    if (layers_[layer_id]->BackwardMayBeInPlace() && has_lent_diff_[top] &&
        MemoryPool::IsOnlyHere(blobs_[top]->diff())) {
      blob.ShareDiff(*blobs_[top]);
    } else {
      blob.ExchangeDiff(pool_.Take(blob.diff()->size()));
    }
    has_lent_diff_[id] = true;
  }
}

template <typename Dtype>
void Net<Dtype>::TakeBackDiffs(int layer_id) {
  for (const int id : top_id_vecs_[layer_id]) {
    if (!has_lent_diff_[id] || Contains(bottom_id_vecs_[layer_id], id)) continue;
    // A bottom that shares the gradient gives it back in its turn.
    pool_.Give(blobs_[id]->ExchangeDiff(nullptr));
    has_lent_diff_[id] = false;
  }
}

template <typename Dtype>
size_t Net<Dtype>::PassBytes() {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  CHECK(!reuses_memory_) << "the net reuses memory already: ask before set_reuses_memory(true)";
  set_reuses_memory(true);
  pool_.set_plans(true);
  // As in the pass: they may keep less.
  JoinLayers(TrainsUnseen());
  // What has memory of its own, and may share it.
  std::map<const SyncedMemory*, size_t> own;
  const auto use = [&own](const shared_ptr<SyncedMemory>& memory) { own[memory.get()] = memory->size(); };
  const int last = static_cast<int>(layers_.size()) - 1;
  for (int i = 0; i <= last; ++i) {
    LendData(i);
    LendKeptBlobs(i, layers_[i]->KeptBlobs());
    for (const int id : top_id_vecs_[i]) {
      if (IsSplit(i)) {
        blobs_[id]->ShareData(*blobs_[bottom_id_vecs_[i][0]]);
      } else if (!has_lent_data_[id] && !is_data_gone_[id] && blobs_[id]->count() > 0) {
        use(blobs_[id]->data());
      }
    }
    TakeBackData(i);
  }
  for (int i = last; i >= 0 && phase_ == TRAIN; --i) {
    TakeBackRestoredData(i);
    if (!layer_need_backward_[i]) continue;
    RestoreData(i, false);
    LendKeptBlobs(i, layers_[i]->BackwardBlobs());
    LendDiffs(i);
    for (size_t j = 0; j < bottom_id_vecs_[i].size(); ++j) {
      const int id = bottom_id_vecs_[i][j];
      if (bottom_need_backward_[i][j] && !has_lent_diff_[id] && blobs_[id]->count() > 0) {
        use(blobs_[id]->diff());
      }
    }
    TakeBackDiffs(i);
    TakeBackKeptBlobs(i);
  }
  size_t bytes = pool_.bytes();
  for (const auto& [memory, size] : own) bytes += size;
  pool_.set_plans(false);
  // What is left lent, as after a pass, goes back.
  set_reuses_memory(false);
  return bytes;
}

#define INSTANTIATE(Dtype)                                                   \
  template void Net<Dtype>::set_reuses_memory(bool);                         \
  template void Net<Dtype>::PlanReuse();                                     \
  template size_t Net<Dtype>::PassBytes();                                   \
  template bool Net<Dtype>::TrainsUnseen() const;                            \
  template void Net<Dtype>::JoinLayers(bool);                                \
  template bool Net<Dtype>::MayReuseData(int) const;                         \
  template void Net<Dtype>::OfferCodes(int);                                 \
  template bool Net<Dtype>::MayRestoreData(int) const;                       \
  template void Net<Dtype>::LendData(int);                                   \
  template void Net<Dtype>::TakeBackData(int);                               \
  template void Net<Dtype>::LendKeptBlobs(int, const vector<Blob<Dtype>*>&); \
  template void Net<Dtype>::TakeBackKeptBlobs(int);                          \
  template void Net<Dtype>::RestoreData(int, bool);                          \
  template void Net<Dtype>::TakeBackRestoredData(int);                       \
  template void Net<Dtype>::LendDiffs(int);                                  \
  template void Net<Dtype>::TakeBackDiffs(int)
INSTANTIATE(float);
INSTANTIATE(double);

}  // namespace caffe
