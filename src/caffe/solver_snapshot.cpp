// What all solvers share of saving and restoring.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <utility>

#include "caffe/solver.hpp"
#include "caffe/util/atomic_file.hpp"
#include "caffe/util/format.hpp"
#include "caffe/util/io.hpp"
#include "caffe/util/snapshots.hpp"

namespace caffe {

template <typename Dtype>
void Solver<Dtype>::CheckSnapshotWritePermissions() {
  if (!Caffe::root_solver()) return;
  // The temporary file of a write that is never committed.
  try {
    AtomicFile::RemoveLeftovers(param_.snapshot_prefix());
    const AtomicFile probe(SnapshotFilename(".tempfile"));
  } catch (const Error& error) {
    throw Error("cannot write to snapshot_prefix '" + param_.snapshot_prefix() +
                "': make sure that the folder exists and is writable (" + error.message() + ")");
  }
}

template <typename Dtype>
string Solver<Dtype>::SnapshotFilename(const string& extension) {
  return param_.snapshot_prefix() + snapshot_kind_ + "_iter_" + format_int(iter_) + extension;
}

template <typename Dtype>
void Solver<Dtype>::Snapshot() {
  TakeSnapshot("");
  RemoveOldSnapshots();
}

template <typename Dtype>
string Solver<Dtype>::TakeSnapshot(const string& kind) {
  CHECK(Caffe::root_solver()) << "only the root solver takes snapshots";
  using std::chrono::duration_cast, std::chrono::microseconds, std::chrono::system_clock;
  // A clock that was put back must not make this the older one.
  saved_at_ = std::max<int64_t>(duration_cast<microseconds>(system_clock::now().time_since_epoch()).count(),
                                saved_at_ + 1);
  weights_finite_ = WeightsAreFinite();
  const vector<int> kept_before = kept_;
  if (kind.empty()) {
    kept_.erase(std::remove(kept_.begin(), kept_.end(), iter_), kept_.end());
    if (weights_finite_) kept_.push_back(iter_);
  }
  snapshot_kind_ = kind.empty() ? "" : "_" + kind;
  try {
    string model_filename;
    switch (param_.snapshot_format()) {
      case SolverParameter::BINARYPROTO:
        model_filename = SnapshotToBinaryProto();
        break;
      case SolverParameter::HDF5:
        model_filename = SnapshotToHDF5();
        break;
    }
    weights_checksum_ = ChecksumOfFile(model_filename);
    SnapshotSolverState(model_filename);
  } catch (...) {
    snapshot_kind_.clear();
    kept_ = kept_before;
    throw;
  }
  const string state_filename = SnapshotFilename(".solverstate" + Ending());
  snapshot_kind_.clear();
  if (!kind.empty()) return state_filename;
  saved_iter_ = iter_;
  if (!weights_finite_) {
    LOG(WARNING) << "The weights of the snapshot " << state_filename
                 << " hold an infinity or no number: training has diverged, and -resume auto passes over it";
    // One of them is enough, and none takes the place of one that is good.
    if (param_.snapshot_keep() > 0 && broken_iter_ >= 0 && broken_iter_ != iter_) {
      RemoveSnapshot(param_.snapshot_prefix(), broken_iter_, Ending());
    }
    broken_iter_ = iter_;
  }
  return state_filename;
}

template <typename Dtype>
void Solver<Dtype>::TakeDueSnapshot() {
  CheckWeights();
  try {
    TakeSnapshot("");
  } catch (const Error& error) {
    retry_iter_ = iter_ + std::max(param_.snapshot() / 10, 1);
    LOG(ERROR) << "The snapshot of iteration " << iter_ << " failed: " << error.what()
               << ". Training goes on, older snapshots stay"
               << (param_.snapshot() ? ", and it is tried again at iteration " + std::to_string(retry_iter_)
                                     : "");
    return;
  }
  // Where a broken one would be taken back, the next iteration is to show first that it is good.
  if (!param_.stop_on_nan() && !param_.check_numerics()) RemoveOldSnapshots();
}

template <typename Dtype>
string Solver<Dtype>::Ending() const {
  return param_.snapshot_format() == SolverParameter::HDF5 ? ".h5" : "";
}

template <typename Dtype>
void Solver<Dtype>::RemoveOldSnapshots() {
  const size_t limit = param_.snapshot_keep();
  while (limit > 0 && kept_.size() > limit) {
    RemoveSnapshot(param_.snapshot_prefix(), kept_.front(), Ending());
    kept_.erase(kept_.begin());
  }
}

template <typename Dtype>
bool Solver<Dtype>::WeightsAreFinite() const {
  const auto& params = net_->params();
  return std::all_of(params.begin(), params.end(), [](const auto& param) { return IsFinite(*param); });
}

template <typename Dtype>
void Solver<Dtype>::CheckWeights() {
  if (param_.stop_on_nan() && !WeightsAreFinite()) StopDiverged("the weights hold an infinity or no number");
}

template <typename Dtype>
string Solver<Dtype>::SaveBroken() {
  if (!param_.has_snapshot_prefix()) return "there is no snapshot_prefix to save the state by";
  try {
    const string state_filename = TakeSnapshot("nan");
    // The same state under the other name would be taken for a good one.
    if (saved_iter_ == iter_) {
      RemoveSnapshot(param_.snapshot_prefix(), iter_, Ending());
      kept_.erase(std::remove(kept_.begin(), kept_.end(), iter_), kept_.end());
      saved_iter_ = -1;
    }
    return "the state is saved in '" + state_filename + "'";
  } catch (const Error& error) {
    return string("the state could not be saved: ") + error.what();
  }
}

template <typename Dtype>
void Solver<Dtype>::StopDiverged(const string& what) {
  diverged_ = true;
  throw Error(
      what + " at iteration " + std::to_string(iter_) +
      ": training has diverged, or the data hold no numbers (stop_on_nan); " + SaveBroken() +
      ". Resume from an earlier snapshot with a lower base_lr or with clip_gradients; -check-numerics "
      "names the layer where it begins");
}

template <typename Dtype>
void Solver<Dtype>::SaveAfterFailure() {
  if (!Caffe::root_solver() || asking_ || diverged_) return;
  if (numerics_ && numerics_->found()) {
    LOG(ERROR) << "A value is no finite number at iteration " << iter_ << ": " << SaveBroken();
    return;
  }
  if (is_torn_) {
    LOG(ERROR) << "Backward failed when some of the updates of iteration " << iter_
               << " were made: the state cannot be saved, go on from the last snapshot";
    return;
  }
  if (param_.snapshot() == 0 || saved_iter_ == iter_) return;
  LOG(INFO) << "Training fails in iteration " << iter_ << ": saving the state at its start";
  try {
    TakeSnapshot("");
  } catch (const Error& error) {
    LOG(ERROR) << "The state could not be saved: " << error.what();
  }
}

template <typename Dtype>
string Solver<Dtype>::SnapshotToBinaryProto() {
  const string model_filename = SnapshotFilename(".caffemodel");
  LOG(INFO) << "Snapshotting to binary proto file " << model_filename;
  NetParameter net_param;
  net_->ToProto(&net_param, param_.snapshot_diff());
  WriteProtoToBinaryFile(net_param, model_filename);
  return model_filename;
}

template <typename Dtype>
string Solver<Dtype>::SnapshotToHDF5() {
  const string model_filename = SnapshotFilename(".caffemodel.h5");
  LOG(INFO) << "Snapshotting to HDF5 file " << model_filename;
  net_->ToHDF5(model_filename, param_.snapshot_diff());
  return model_filename;
}

template <typename Dtype>
void Solver<Dtype>::Restore(const char* resume_file) {
  const string state_file = resume_file;
  const vector<int> kept_before = std::exchange(kept_, {});
  try {
    if (std::filesystem::path(state_file).extension() == ".h5") {
      RestoreSolverStateFromHDF5(state_file);
    } else {
      RestoreSolverStateFromBinaryProto(state_file);
    }
  } catch (const Error& error) {
    kept_ = kept_before;
    throw error.WithFile(state_file);
  }
  saved_iter_ = retry_iter_ = broken_iter_ = -1;
  start_.reset();
  const auto is_own = [&](const string& kind) {
    const string file = param_.snapshot_prefix() + kind + "_iter_" + format_int(iter_) + ".solverstate";
    std::error_code ignored;
    return std::filesystem::equivalent(state_file, file, ignored) ||
           std::filesystem::equivalent(state_file, file + ".h5", ignored);
  };
  if (is_own("")) {
    saved_iter_ = iter_;
  } else if (!is_own("_nan")) {
    // Only what has this solver's prefix may be deleted.
    kept_.clear();
  }
}

template <typename Dtype>
string Solver<Dtype>::RestoreLatest() {
  const string file = NewestSnapshot(param_.snapshot_prefix());
  if (!file.empty()) {
    LOG(INFO) << "Resuming from " << file;
    Restore(file.c_str());
  }
  return file;
}

template <typename Dtype>
void Solver<Dtype>::GetState(SolverState* state) const {
  state->set_iter(iter_);
  state->set_current_step(current_step_);
  SaveDataStates(state);
}

template <typename Dtype>
void Solver<Dtype>::SetState(const SolverState& state) {
  iter_ = state.iter();
  current_step_ = state.current_step();
  is_torn_ = false;
  RestoreDataStates(state);
}

template <typename Dtype>
void Solver<Dtype>::AddLayerStates(bool without_bottoms, SolverState* state) const {
  for (size_t number = 0; number <= test_nets_.size(); ++number) {
    const Net<Dtype>& net = NetOfState(number);
    for (size_t i = 0; i < net.layers().size(); ++i) {
      if (net.bottom_vecs()[i].empty() != without_bottoms) continue;
      DataState data_state;
      if (!net.layers()[i]->GetDataState(&data_state)) continue;
      data_state.set_layer(net.layer_names()[i]);
      data_state.set_net(static_cast<uint32_t>(number));
      *state->add_data_state() = data_state;
    }
  }
}

template <typename Dtype>
void Solver<Dtype>::GoBackToStart() {
  if (!start_) return;
  for (const DataState& before : start_->data.data_state()) {
    const auto layer = NetOfState(before.net()).layer_by_name(before.layer());
    DataState now;
    layer->GetDataState(&now);
    if (now.record() == before.record()) continue;
    try {
      layer->SetDataState(before);
    } catch (const Error& error) {
      LOG(WARNING) << "The data of layer '" << before.layer() << "' do not go back: " << error.what();
    }
  }
  *caffe_rng() = start_->random;
}

template <typename Dtype>
void Solver<Dtype>::SaveDataStates(SolverState* state) const {
  if (start_) {
    state->MergeFrom(start_->data);
  } else {
    AddLayerStates(true, state);
  }
  AddLayerStates(false, state);
  state->set_random_state(TextOfRandom(start_ ? start_->random : *caffe_rng()));
  if (param_.average_loss() > 1) {
    for (const Dtype loss : start_ ? start_->losses : losses_) state->add_recent_loss(loss);
  }
  state->set_saved_at(saved_at_);
  for (const int iter : kept_) state->add_kept_iter(iter);
  if (!weights_finite_) state->set_not_finite(true);
  state->set_learned_net_checksum(weights_checksum_);
}

template <typename Dtype>
void Solver<Dtype>::RestoreDataStates(const SolverState& state) {
  for (const DataState& data_state : state.data_state()) {
    const bool has_layer =
        data_state.net() <= test_nets_.size() && NetOfState(data_state.net()).has_layer(data_state.layer());
    if (!has_layer) {
      // The root alone has nets to test.
      LOG_IF(WARNING, Caffe::root_solver()) << "Ignoring the data position of layer " << data_state.layer()
                                            << ", which this solver does not have";
      continue;
    }
    LOG_IF(INFO, Caffe::root_solver() && data_state.has_record())
        << "Layer " << data_state.layer() << " goes on at record " << data_state.record();
    const auto layer = NetOfState(data_state.net()).layer_by_name(data_state.layer());
    try {
      layer->SetDataState(data_state);
    } catch (const Error& error) {
      throw Error("data of layer '" + data_state.layer() + "': " + error.message());
    }
  }
  const int num_losses = std::min(state.recent_loss_size(), param_.average_loss());
  losses_.assign(state.recent_loss().end() - num_losses, state.recent_loss().end());
  losses_restored_ = true;
  kept_.assign(state.kept_iter().begin(), state.kept_iter().end());
  saved_at_ = std::max<int64_t>(saved_at_, state.saved_at());
  if (!state.has_random_state()) {
    LOG_IF(WARNING, Caffe::root_solver())
        << "The state tells neither the place in the data nor the random numbers: the data begin anew";
    return;
  }
  // Last, because workers that start take random numbers.
  rng_t random = RandomOfText(state.random_state());
  if (Caffe::root_solver()) {
    *caffe_rng() = random;
  } else {
    // The state is the root's. Numbers of this solver's own should not be those of its beginning.
    Caffe::set_random_seed(static_cast<unsigned int>(random() + Caffe::solver_rank()));
  }
}

#define INSTANTIATE(Dtype)                                               \
  template void Solver<Dtype>::CheckSnapshotWritePermissions();          \
  template string Solver<Dtype>::SnapshotFilename(const string&);        \
  template void Solver<Dtype>::Snapshot();                               \
  template string Solver<Dtype>::TakeSnapshot(const string&);            \
  template void Solver<Dtype>::TakeDueSnapshot();                        \
  template void Solver<Dtype>::CheckWeights();                           \
  template string Solver<Dtype>::SaveBroken();                           \
  template void Solver<Dtype>::GoBackToStart();                          \
  template void Solver<Dtype>::SaveAfterFailure();                       \
  template void Solver<Dtype>::StopDiverged(const string&);              \
  template string Solver<Dtype>::Ending() const;                         \
  template void Solver<Dtype>::RemoveOldSnapshots();                     \
  template bool Solver<Dtype>::WeightsAreFinite() const;                 \
  template string Solver<Dtype>::RestoreLatest();                        \
  template void Solver<Dtype>::AddLayerStates(bool, SolverState*) const; \
  template string Solver<Dtype>::SnapshotToBinaryProto();                \
  template string Solver<Dtype>::SnapshotToHDF5();                       \
  template void Solver<Dtype>::GetState(SolverState*) const;             \
  template void Solver<Dtype>::SetState(const SolverState&);             \
  template void Solver<Dtype>::SaveDataStates(SolverState*) const;       \
  template void Solver<Dtype>::RestoreDataStates(const SolverState&);    \
  template void Solver<Dtype>::Restore(const char*)
INSTANTIATE(float);
INSTANTIATE(double);

}  // namespace caffe
