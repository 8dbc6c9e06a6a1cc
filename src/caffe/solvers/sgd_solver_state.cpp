// Saving and restoring the state of SGDSolver and of what derives from it.
#include "caffe/sgd_solvers.hpp"
#include "caffe/util/hdf5.hpp"
#include "caffe/util/snapshots.hpp"

namespace caffe {

namespace {

void CheckHistorySize(int stored, size_t expected) {
  CHECK_EQ(stored, expected)
      << "the state has another number of history blobs than this solver: it was saved by "
         "another type of solver or for another net";
}

}  // namespace

template <typename Dtype>
void SGDSolver<Dtype>::SnapshotSolverState(const string& model_filename) {
  switch (this->param_.snapshot_format()) {
    case SolverParameter::BINARYPROTO:
      SnapshotSolverStateToBinaryProto(model_filename);
      break;
    case SolverParameter::HDF5:
      SnapshotSolverStateToHDF5(model_filename);
      break;
  }
}

template <typename Dtype>
void SGDSolver<Dtype>::GetState(SolverState* state) const {
  Solver<Dtype>::GetState(state);
  for (const auto& blob : history_) blob->ToProto(state->add_history());
}

template <typename Dtype>
void SGDSolver<Dtype>::SetState(const SolverState& state) {
  CheckHistorySize(state.history_size(), history_.size());
  RestoreState(state, [&state](int i, Blob<Dtype>* blob) { blob->FromProto(state.history(i), false); });
}

template <typename Dtype>
void SGDSolver<Dtype>::SnapshotSolverStateToBinaryProto(const string& model_filename) {
  SolverState state;
  GetState(&state);
  state.set_learned_net(model_filename);
  const string filename = this->SnapshotFilename(".solverstate");
  LOG(INFO) << "Snapshotting solver state to binary proto file " << filename;
  WriteSolverState(state, filename);
}

template <typename Dtype>
void SGDSolver<Dtype>::RestoreSolverStateFromBinaryProto(const string& state_file) {
  SolverState state;
  ReadSolverState(state_file, &state);
  if (state.has_learned_net()) state.set_learned_net(FindWeights(state, state_file));
  SetState(state);
}

template <typename Dtype>
void SGDSolver<Dtype>::RestoreState(const SolverState& state,
                                    const std::function<void(int, Blob<Dtype>*)>& read_history) {
  CHECK_GE(state.iter(), 0) << "a state cannot be of a negative iteration";
  vector<shared_ptr<Blob<Dtype>>> history;
  for (size_t i = 0; i < history_.size(); ++i) {
    history.push_back(std::make_shared<Blob<Dtype>>(history_[i]->shape()));
    try {
      read_history(static_cast<int>(i), history[i].get());
    } catch (const Error& error) {
      throw Error("history blob " + std::to_string(i) + ": " + error.message());
    }
  }
  // The weights are the last that may fail.
  if (!state.learned_net().empty()) this->net_->CopyTrainedLayersFrom(state.learned_net());
  LOG_IF(INFO, Caffe::root_solver()) << "SGDSolver: restoring history";
  history_.swap(history);
  Solver<Dtype>::SetState(state);
}

#ifdef USE_HDF5

template <typename Dtype>
void SGDSolver<Dtype>::SnapshotSolverStateToHDF5(const string& model_filename) {
  const string filename = this->SnapshotFilename(".solverstate.h5");
  LOG(INFO) << "Snapshotting solver state to HDF5 file " << filename;
  Hdf5WriteFile(filename, [&](hid_t file) {
    SolverState state;
    Solver<Dtype>::GetState(&state);
    state.set_learned_net(model_filename);
    SaveSolverStateHead(file, state);
    const Hdf5Handle group = Hdf5CreateGroup(file, "history");
    for (size_t i = 0; i < history_.size(); ++i) {
      hdf5_save_nd_dataset<Dtype>(group.get(), std::to_string(i), *history_[i]);
    }
  });
}

template <typename Dtype>
void SGDSolver<Dtype>::RestoreSolverStateFromHDF5(const string& state_file) {
  const Hdf5Handle file = Hdf5OpenFile(state_file);
  const Hdf5Handle group = Hdf5OpenGroup(file.get(), "history");
  CheckHistorySize(hdf5_get_num_links(group.get()), history_.size());
  SolverState state = LoadSolverStateHead(file.get());
  if (state.has_learned_net()) state.set_learned_net(FindWeights(state, state_file));
  RestoreState(state, [&group](int i, Blob<Dtype>* blob) {
    hdf5_load_nd_dataset<Dtype>(group.get(), std::to_string(i).c_str(), 0, kMaxBlobAxes, blob);
  });
}

#else

template <typename Dtype>
void SGDSolver<Dtype>::SnapshotSolverStateToHDF5(const string&) {
  NO_HDF5;
}

template <typename Dtype>
void SGDSolver<Dtype>::RestoreSolverStateFromHDF5(const string&) {
  NO_HDF5;
}

#endif  // USE_HDF5

#define INSTANTIATE(Dtype)                                                          \
  template void SGDSolver<Dtype>::GetState(SolverState*) const;                     \
  template void SGDSolver<Dtype>::SetState(const SolverState&);                     \
  template void SGDSolver<Dtype>::SnapshotSolverState(const string&);               \
  template void SGDSolver<Dtype>::SnapshotSolverStateToBinaryProto(const string&);  \
  template void SGDSolver<Dtype>::SnapshotSolverStateToHDF5(const string&);         \
  template void SGDSolver<Dtype>::RestoreSolverStateFromBinaryProto(const string&); \
  template void SGDSolver<Dtype>::RestoreSolverStateFromHDF5(const string&)
INSTANTIATE(float);
INSTANTIATE(double);

}  // namespace caffe
