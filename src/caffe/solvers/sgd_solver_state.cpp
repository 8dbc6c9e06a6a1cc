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
void SGDSolver<Dtype>::SnapshotSolverStateToBinaryProto(const string& model_filename) {
  SolverState state;
  state.set_iter(this->iter_);
  state.set_learned_net(model_filename);
  state.set_current_step(this->current_step_);
  for (const auto& blob : history_) blob->ToProto(state.add_history());
  this->SaveDataStates(&state);
  const string filename = this->SnapshotFilename(".solverstate");
  LOG(INFO) << "Snapshotting solver state to binary proto file " << filename;
  WriteSolverState(state, filename);
}

template <typename Dtype>
void SGDSolver<Dtype>::RestoreSolverStateFromBinaryProto(const string& state_file) {
  SolverState state;
  ReadSolverState(state_file, &state);
  CheckHistorySize(state.history_size(), history_.size());
  RestoreState(state, state_file,
               [&state](int i, Blob<Dtype>* blob) { blob->FromProto(state.history(i), false); });
}

template <typename Dtype>
void SGDSolver<Dtype>::RestoreState(const SolverState& state, const string& state_file,
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
  if (!state.learned_net().empty()) {
    this->net_->CopyTrainedLayersFrom(FindWeights(state, state_file));
  }
  LOG_IF(INFO, Caffe::root_solver()) << "SGDSolver: restoring history";
  history_.swap(history);
  this->iter_ = state.iter();
  this->current_step_ = state.current_step();
  this->RestoreDataStates(state);
}

#ifdef USE_HDF5

template <typename Dtype>
void SGDSolver<Dtype>::SnapshotSolverStateToHDF5(const string& model_filename) {
  const string filename = this->SnapshotFilename(".solverstate.h5");
  LOG(INFO) << "Snapshotting solver state to HDF5 file " << filename;
  Hdf5WriteFile(filename, [&](hid_t file) {
    SolverState state;
    state.set_iter(this->iter_);
    state.set_learned_net(model_filename);
    state.set_current_step(this->current_step_);
    this->SaveDataStates(&state);
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
  const SolverState state = LoadSolverStateHead(file.get());
  RestoreState(state, state_file, [&group](int i, Blob<Dtype>* blob) {
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
  template void SGDSolver<Dtype>::SnapshotSolverState(const string&);               \
  template void SGDSolver<Dtype>::SnapshotSolverStateToBinaryProto(const string&);  \
  template void SGDSolver<Dtype>::SnapshotSolverStateToHDF5(const string&);         \
  template void SGDSolver<Dtype>::RestoreSolverStateFromBinaryProto(const string&); \
  template void SGDSolver<Dtype>::RestoreSolverStateFromHDF5(const string&)
INSTANTIATE(float);
INSTANTIATE(double);

}  // namespace caffe
