// What all solvers share of saving and restoring.
#include <filesystem>

#include "caffe/solver.hpp"
#include "caffe/util/atomic_file.hpp"
#include "caffe/util/format.hpp"
#include "caffe/util/io.hpp"

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

#define INSTANTIATE(Dtype)                                        \
  template void Solver<Dtype>::CheckSnapshotWritePermissions();   \
  template string Solver<Dtype>::SnapshotFilename(const string&); \
  template void Solver<Dtype>::Snapshot();                        \
  template string Solver<Dtype>::SnapshotToBinaryProto();         \
  template string Solver<Dtype>::SnapshotToHDF5();                \
  template void Solver<Dtype>::Restore(const char*)
INSTANTIATE(float);
INSTANTIATE(double);

}  // namespace caffe
