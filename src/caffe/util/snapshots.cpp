#include "caffe/util/snapshots.hpp"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/wire_format_lite.h>
#include <sys/stat.h>

#include <algorithm>
#include <climits>
#include <filesystem>
#include <functional>
#include <system_error>
#include <vector>

#include "caffe/util/atomic_file.hpp"
#include "caffe/util/crc32.hpp"
#include "caffe/util/input_file.hpp"
#include "caffe/util/io.hpp"
#include "caffe/util/upgrade_proto.hpp"

namespace caffe {

namespace fs = std::filesystem;
namespace pb = google::protobuf;

namespace {

constexpr size_t kBlockBytes = 1 << 20;
constexpr char kHdf5Ending[] = ".h5";

// The dataset of an HDF5 state that Caffe does not know: what a SolverState has beyond Caffe's, as text.
constexpr char kHdf5Rest[] = "data_state";

bool IsHdf5(const string& file) { return fs::path(file).extension() == kHdf5Ending; }

string Folder(const string& file) {
  const string folder = fs::path(file).parent_path().string();
  return folder.empty() ? "." : folder;
}

// ------------------------------------------------------------------------------------------------ checksums

// The field `checksum` with its number before it, as it ends a file.
string ChecksumField(uint32_t checksum) {
  SolverState state;
  state.set_checksum(checksum);
  return state.SerializeAsString();
}

// The checksum of the first `size` bytes, and the bytes after them.
uint32_t ChecksumOf(const InputFile& file, int64_t size, string* rest) {
  Crc32 crc;
  while (size > 0) {
    const string block = file.Read(static_cast<size_t>(std::min<int64_t>(size, kBlockBytes)));
    if (block.empty()) break;
    crc.Add(block.data(), block.size());
    size -= static_cast<int64_t>(block.size());
  }
  *rest = file.Read(kBlockBytes);
  return crc.value();
}

// Whether a binary state ends with a checksum. @throws Error where that is another than of its bytes.
bool HasRightChecksum(const string& filename) {
  const InputFile file(filename);
  const int64_t size = file.size() - static_cast<int64_t>(ChecksumField(0).size());
  if (size <= 0) return false;
  string end;
  const uint32_t checksum = ChecksumOf(file, size, &end);
  const string field = ChecksumField(checksum);
  // The value is the last four bytes.
  if (end.size() != field.size() || end.compare(0, end.size() - 4, field, 0, field.size() - 4) != 0)
    return false;
  if (end != field) {
    throw Error(
        "the state is damaged: its checksum does not match; use another snapshot (who changes a state takes "
        "its field checksum away)",
        "", "", filename);
  }
  return true;
}

// ----------------------------------------------------------------------------------------------- candidates

// A binary state without its history, which is not read. What is damaged may go unnoticed.
SolverState ReadHead(const string& filename) {
  const InputFile file(filename);
  pb::io::FileInputStream stream(file.descriptor());
  string rest;
  {
    pb::io::CodedInputStream input(&stream);
    pb::io::StringOutputStream text(&rest);
    pb::io::CodedOutputStream output(&text);
    using Wire = pb::internal::WireFormatLite;
    while (const uint32_t tag = input.ReadTag()) {
      const bool is_history = Wire::GetTagFieldNumber(tag) == SolverState::kHistoryFieldNumber;
      if (!(is_history ? Wire::SkipField(&input, tag) : Wire::SkipField(&input, tag, &output))) break;
    }
  }
  SolverState state;
  state.ParseFromString(rest);
  return state;
}

SolverState HeadOf(const string& state_file) {
  if (!IsHdf5(state_file)) return ReadHead(state_file);
#ifdef USE_HDF5
  return LoadSolverStateHead(Hdf5OpenFile(state_file).get());
#else
  NO_HDF5;
  return SolverState();
#endif
}

// Throws an Error where a state or its weights are not whole, or hold no numbers.
void CheckSnapshot(const string& state_file) {
  SolverState state;
  if (IsHdf5(state_file) || HasRightChecksum(state_file)) {
    state = HeadOf(state_file);
  } else {
    ReadSolverState(state_file, &state);
  }
  const string weights = FindWeights(state, state_file);
  if (!state.has_learned_net_checksum()) {
    // Of Caffe's there is only this to tell.
    if (IsHdf5File(weights)) {
#ifdef USE_HDF5
      Hdf5OpenFile(weights);
#endif
    } else {
      NetParameter net;
      ReadNetParamsFromBinaryFileOrDie(weights, &net);
    }
  }
  if (state.not_finite()) {
    throw Error("its weights hold an infinity or no number: the training had diverged before", "", "",
                state_file);
  }
}

struct Candidate {
  string file;
  int iter;
  int64_t saved_at;
};

// When a state was saved, in microseconds since 1970: as it says, or else as the file system does.
int64_t SavedAt(const string& file) {
  try {
    const SolverState head = HeadOf(file);
    if (head.has_saved_at()) return head.saved_at();
  } catch (const Error&) {
    // The check says later what it is.
  }
  struct stat status;
  if (stat(file.c_str(), &status) != 0) return 0;
  return int64_t{1000000} * status.st_mtim.tv_sec + status.st_mtim.tv_nsec / 1000;
}

// The iteration of PREFIX_iter_N.solverstate or .solverstate.h5, or -1.
int IterationOf(const string& name, const string& prefix) {
  const string start = prefix + "_iter_";
  if (name.compare(0, start.size(), start) != 0) return -1;
  const size_t end = name.find_first_not_of("0123456789", start.size());
  if (end == string::npos || end == start.size() || end - start.size() > 10) return -1;
  const string ending = name.substr(end);
  if (ending != ".solverstate" && ending != string(".solverstate") + kHdf5Ending) return -1;
  const long long iter = std::stoll(name.substr(start.size(), end - start.size()));
  return iter <= INT_MAX ? static_cast<int>(iter) : -1;
}

// The states of the prefix, the newest first.
vector<Candidate> Candidates(const string& prefix) {
  const string name = fs::path(prefix).filename().string();
  vector<Candidate> candidates;
  std::error_code failed;
  for (fs::directory_iterator entry(Folder(prefix), failed), end; !failed && entry != end;
       entry.increment(failed)) {
    const int iter = IterationOf(entry->path().filename().string(), name);
    if (iter < 0) continue;
    const string file = (fs::path(prefix).parent_path() / entry->path().filename()).string();
    candidates.push_back({file, iter, SavedAt(file)});
  }
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return std::make_pair(a.saved_at, a.iter) > std::make_pair(b.saved_at, b.iter);
  });
  return candidates;
}

}  // namespace

uint32_t ChecksumOfFile(const string& file) {
  string rest;
  return ChecksumOf(InputFile(file), INT64_MAX, &rest);
}

void WriteSolverState(const SolverState& state, const string& filename) {
  const string end = ChecksumField(0);
  const size_t size = state.ByteSizeLong() + end.size();
  if (size > INT_MAX) {
    throw Error(
        "a SolverState of " + std::to_string(size) +
            " bytes cannot be saved: the format ends at 2 GiB - 1. Save as HDF5 (snapshot_format: HDF5)",
        "", "", filename);
  }
  AtomicFile file(filename);
  {
    pb::io::FileOutputStream stream(file.descriptor(), kBlockBytes);
    if (!state.SerializeToZeroCopyStream(&stream) || !stream.Flush()) file.Fail(stream.GetErrno());
  }
  const string field = ChecksumField(ChecksumOfFile(file.temp_path()));
  file.Write(field.data(), field.size());
  file.Commit();
}

void ReadSolverState(const string& file, SolverState* state) {
  HasRightChecksum(file);
  ReadProtoFromBinaryFileOrDie(file, state);
  CHECK(state->has_iter()) << "this is no solver state (a .caffemodel holds weights alone)";
}

#ifdef USE_HDF5

void SaveSolverStateHead(hid_t file, const SolverState& state) {
  hdf5_save_int(file, "iter", state.iter());
  hdf5_save_string(file, "learned_net", state.learned_net());
  hdf5_save_int(file, "current_step", state.current_step());
  SolverState rest(state);
  rest.clear_iter();
  rest.clear_learned_net();
  rest.clear_current_step();
  string text;
  pb::TextFormat::PrintToString(rest, &text);
  hdf5_save_string(file, kHdf5Rest, text);
}

SolverState LoadSolverStateHead(hid_t file) {
  SolverState state;
  if (Hdf5Exists(file, kHdf5Rest)) {
    const string text = hdf5_load_string(file, kHdf5Rest);
    CHECK(pb::TextFormat::ParseFromString(text, &state)) << "the dataset '" << kHdf5Rest << "' is damaged";
  }
  state.set_iter(hdf5_load_int(file, "iter"));
  state.set_current_step(hdf5_load_int(file, "current_step"));
  if (Hdf5Exists(file, "learned_net")) state.set_learned_net(hdf5_load_string(file, "learned_net"));
  return state;
}

#endif  // USE_HDF5

string FindWeights(const SolverState& state, const string& state_file) {
  const string& name = state.learned_net();
  const fs::path folder = fs::path(state_file).parent_path();
  string other;
  for (const fs::path& candidate : {fs::path(name), folder / name, folder / fs::path(name).filename()}) {
    std::error_code ignored;
    if (!fs::is_regular_file(candidate, ignored)) continue;
    const string file = candidate.string();
    if (!state.has_learned_net_checksum() || ChecksumOfFile(file) == state.learned_net_checksum())
      return file;
    other = file;
  }
  if (!other.empty()) {
    throw Error(
        "the weights in '" + other +
        "' are not those that belong to this state, or are damaged: use another snapshot, or begin anew "
        "with these weights (-weights)");
  }
  throw Error("the weights that belong to this state, '" + name +
              "', are missing: they are neither there nor beside the state");
}

string NewestSnapshot(const string& prefix) {
  CHECK(!prefix.empty()) << "the newest snapshot is found by snapshot_prefix, which the solver does not have";
  for (const Candidate& candidate : Candidates(prefix)) {
    try {
      CheckSnapshot(candidate.file);
      return candidate.file;
    } catch (const Error& error) {
      LOG(WARNING) << "Passing over the snapshot " << candidate.file << ": " << error.what();
    }
  }
  LOG(INFO) << "There is no snapshot " << prefix
            << "_iter_N.solverstate to resume from: training starts from the beginning";
  return "";
}

void RemoveSnapshot(const string& prefix, int iter, const string& ending) {
  for (const char* kind : {".solverstate", ".caffemodel"}) {
    const string file = prefix + "_iter_" + std::to_string(iter) + kind + ending;
    std::error_code failed;
    fs::remove(file, failed);
    if (failed) LOG(WARNING) << "Cannot delete the old snapshot " << file << ": " << failed.message();
  }
}

}  // namespace caffe
