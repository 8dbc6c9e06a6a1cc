// What all solvers share of saving and restoring.
#include <filesystem>
#include <sstream>

#include "caffe/solver.hpp"
#include "caffe/util/atomic_file.hpp"
#include "caffe/util/format.hpp"
#include "caffe/util/io.hpp"
#include "caffe/util/rng.hpp"

namespace caffe {

template <typename Dtype>
void Solver<Dtype>::CheckSnapshotWritePermissions() {
  if (!Caffe::root_solver()) return;
  // The temporary file of a write that is never committed.
  try {
    const AtomicFile probe(SnapshotFilename(".tempfile"));
  } catch (const Error& error) {
    throw Error("cannot write to snapshot_prefix '" + param_.snapshot_prefix() +
                "': make sure that the folder exists and is writable (" + error.message() + ")");
  }
}

template <typename Dtype>
string Solver<Dtype>::SnapshotFilename(const string& extension) {
  return param_.snapshot_prefix() + "_iter_" + format_int(iter_) + extension;
}

template <typename Dtype>
void Solver<Dtype>::Snapshot() {
  CHECK(Caffe::root_solver()) << "only the root solver takes snapshots";
  string model_filename;
  switch (param_.snapshot_format()) {
    case SolverParameter::BINARYPROTO:
      model_filename = SnapshotToBinaryProto();
      break;
    case SolverParameter::HDF5:
      model_filename = SnapshotToHDF5();
      break;
  }
  SnapshotSolverState(model_filename);
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
  try {
    if (std::filesystem::path(state_file).extension() == ".h5") {
      RestoreSolverStateFromHDF5(state_file);
    } else {
      RestoreSolverStateFromBinaryProto(state_file);
    }
  } catch (const Error& error) {
    throw error.WithFile(state_file);
  }
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
  RestoreDataStates(state);
}

template <typename Dtype>
void Solver<Dtype>::SaveDataStates(SolverState* state) const {
  for (size_t number = 0; number <= test_nets_.size(); ++number) {
    for (const auto& layer : NetOfState(number).layers()) {
      DataState data_state;
      if (!layer->GetDataState(&data_state)) continue;
      data_state.set_layer(layer->layer_param().name());
      data_state.set_net(static_cast<uint32_t>(number));
      *state->add_data_state() = data_state;
    }
  }
  ostringstream random_state;
  random_state << *caffe_rng();
  state->set_random_state(random_state.str());
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
    LOG_IF(INFO, Caffe::root_solver())
        << "Layer " << data_state.layer() << " goes on at record " << data_state.record();
    const auto layer = NetOfState(data_state.net()).layer_by_name(data_state.layer());
    try {
      layer->SetDataState(data_state);
    } catch (const Error& error) {
      throw Error("data of layer '" + data_state.layer() + "': " + error.message());
    }
  }
  // Last, because workers that start take random numbers. Other solvers have numbers of their own.
  if (!state.has_random_state() || !Caffe::root_solver()) return;
  rng_t random;
  std::istringstream text(state.random_state());
  LOG_IF(FATAL, !(text >> random)) << "the state of the random numbers is damaged";
  *caffe_rng() = random;
}

#define INSTANTIATE(Dtype)                                            \
  template void Solver<Dtype>::CheckSnapshotWritePermissions();       \
  template string Solver<Dtype>::SnapshotFilename(const string&);     \
  template void Solver<Dtype>::Snapshot();                            \
  template string Solver<Dtype>::SnapshotToBinaryProto();             \
  template string Solver<Dtype>::SnapshotToHDF5();                    \
  template void Solver<Dtype>::GetState(SolverState*) const;          \
  template void Solver<Dtype>::SetState(const SolverState&);          \
  template void Solver<Dtype>::SaveDataStates(SolverState*) const;    \
  template void Solver<Dtype>::RestoreDataStates(const SolverState&); \
  template void Solver<Dtype>::Restore(const char*)
INSTANTIATE(float);
INSTANTIATE(double);

}  // namespace caffe
