// NCCL: ranks meet in a file of shared memory, be they threads of one process or of several. Each rank has a
// thread that takes part in its collectives one after another; a collective goes through the file chunk by
// chunk.

#include "nccl.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cuda_bf16.h"
#include "cuda_fp16.h"
#include "state.hpp"
#include "streams.hpp"

namespace gpu_emulator {
namespace {

constexpr int kMostRanks = kMostDevices;
constexpr size_t kChunkBytes = 256 << 10;

enum class Kind : int { kJoin, kAllReduce, kReduce, kBroadcast, kAllGather, kReduceScatter };
constexpr const char* kKindNames[] = {"ncclCommInitRank", "ncclAllReduce", "ncclReduce",
                                      "ncclBroadcast",    "ncclAllGather", "ncclReduceScatter"};

/// What all ranks must agree on.
struct Terms {
  Kind kind;
  ncclDataType_t type;
  ncclRedOp_t op;
  int root;
  uint64_t count;

  bool operator==(const Terms& other) const {
    return kind == other.kind && type == other.type && op == other.op && root == other.root &&
           count == other.count;
  }
};

struct Operation {
  Terms terms;
  const void* send;
  void* receive;
};

/// The beginning of the shared file. All zeros is a clique that nobody has joined.
struct Clique {
  std::atomic<int> ranks;
  std::atomic<int> failed;
  struct Rank {
    std::atomic<int> joined;
    std::atomic<int> device;
    /// How many barriers the rank has come to. Each waits for the others to have come to as many.
    std::atomic<uint64_t> barriers;
    Terms terms;
  } rank[kMostRanks];
};
static_assert(std::atomic<uint64_t>::is_always_lock_free, "processes share them");

constexpr size_t kCliqueBytes = (sizeof(Clique) + 4095) / 4096 * 4096;
constexpr size_t kFileBytes = kCliqueBytes + kMostRanks * kChunkBytes;

/// The file, as long as it lives.
class Mapping {
 public:
  explicit Mapping(const std::string& name) {
    const int file = shm_open(name.c_str(), O_RDWR, 0600);
    if (file < 0) return;
    void* const memory = mmap(nullptr, kFileBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (memory != MAP_FAILED) memory_ = static_cast<char*>(memory);
  }
  ~Mapping() {
    if (memory_) munmap(memory_, kFileBytes);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  bool valid() const { return memory_ != nullptr; }
  Clique& clique() const { return *reinterpret_cast<Clique*>(memory_); }
  char* chunk(int rank) const { return memory_ + kCliqueBytes + rank * kChunkBytes; }

 private:
  char* memory_ = nullptr;
};

/// Files of cliques that were never complete go when the process ends.
class OwnFiles {
 public:
  ~OwnFiles() {
    for (const std::string& name : names_) shm_unlink(name.c_str());
  }
  void Add(const std::string& name) {
    const std::lock_guard<std::mutex> lock(mutex_);
    names_.insert(name);
  }

 private:
  std::mutex mutex_;
  std::set<std::string> names_;
};

size_t SizeOf(ncclDataType_t type) {
  switch (type) {
    case ncclInt8:
    case ncclUint8:
      return 1;
    case ncclFloat16:
    case ncclBfloat16:
      return 2;
    case ncclInt32:
    case ncclUint32:
    case ncclFloat32:
      return 4;
    case ncclInt64:
    case ncclUint64:
    case ncclFloat64:
      return 8;
  }
  return 0;
}

/// to[i] = op over ranks of chunks[rank][i], in the order of the ranks; computed as Sums.
template <typename T, typename Sum>
void ReduceChunks(const std::vector<const char*>& chunks, size_t count, ncclRedOp_t op, void* to) {
  for (size_t i = 0; i < count; ++i) {
    Sum result = static_cast<Sum>(reinterpret_cast<const T*>(chunks[0])[i]);
    for (size_t rank = 1; rank < chunks.size(); ++rank) {
      const Sum value = static_cast<Sum>(reinterpret_cast<const T*>(chunks[rank])[i]);
      switch (op) {
        case ncclSum:
        case ncclAvg:
          result += value;
          break;
        case ncclProd:
          result *= value;
          break;
        case ncclMax:
          result = std::max(result, value);
          break;
        case ncclMin:
          result = std::min(result, value);
          break;
      }
    }
    if (op == ncclAvg) result /= static_cast<Sum>(chunks.size());
    static_cast<T*>(to)[i] = static_cast<T>(result);
  }
}

void ReduceChunks(ncclDataType_t type, const std::vector<const char*>& chunks, size_t count, ncclRedOp_t op,
                  void* to) {
  switch (type) {
    case ncclInt8:
      return ReduceChunks<int8_t, int>(chunks, count, op, to);
    case ncclUint8:
      return ReduceChunks<uint8_t, unsigned>(chunks, count, op, to);
    case ncclInt32:
      return ReduceChunks<int32_t, int64_t>(chunks, count, op, to);
    case ncclUint32:
      return ReduceChunks<uint32_t, uint64_t>(chunks, count, op, to);
    case ncclInt64:
      return ReduceChunks<int64_t, int64_t>(chunks, count, op, to);
    case ncclUint64:
      return ReduceChunks<uint64_t, uint64_t>(chunks, count, op, to);
    case ncclFloat16:
      return ReduceChunks<__half, float>(chunks, count, op, to);
    case ncclBfloat16:
      return ReduceChunks<__nv_bfloat16, float>(chunks, count, op, to);
    case ncclFloat32:
      return ReduceChunks<float, float>(chunks, count, op, to);
    case ncclFloat64:
      return ReduceChunks<double, double>(chunks, count, op, to);
  }
}

std::string Describe(const Terms& terms) {
  std::ostringstream text;
  text << kKindNames[static_cast<int>(terms.kind)] << " of " << terms.count << " elements of type "
       << terms.type << ", op " << terms.op << ", root " << terms.root;
  return text.str();
}

thread_local std::string last_error;

ncclResult_t Fail(ncclResult_t result, const std::string& message) {
  last_error = message;
  Complain("NCCL: " + message);
  return result;
}

/// The end of an operation, to be waited for.
class Ticket {
 public:
  void Done(ncclResult_t result) {
    const std::lock_guard<std::mutex> lock(mutex_);
    result_ = result;
    done_ = true;
    changed_.notify_all();
  }
  ncclResult_t Wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return done_; });
    return result_;
  }
  bool IsDone() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return done_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
  ncclResult_t result_ = ncclSuccess;
};

std::chrono::seconds Timeout() {
  return std::chrono::seconds(EnvironmentNumber("CAFFE_EMULATED_NCCL_TIMEOUT", 60));
}

}  // namespace
}  // namespace gpu_emulator

using namespace gpu_emulator;

/// A rank.
struct ncclComm {
 public:
  ncclComm(std::unique_ptr<Mapping> mapping, std::string name, int rank, int ranks, int device)
      : mapping_(std::move(mapping)), name_(std::move(name)), rank_(rank), ranks_(ranks), device_(device) {
    worker_ = std::thread([this] { Work(); });
  }

  ~ncclComm() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    worker_.join();
  }

  int rank() const { return rank_; }
  int ranks() const { return ranks_; }
  int device() const { return device_; }
  ncclResult_t error() const { return error_; }

  /// What it is in does not wait for others any more, and what it is told to do after that fails.
  void Abort() {
    aborted_ = true;
    error_ = ncclInternalError;
  }

  /// Notes when a collective will be done.
  void Add(const Moment& moment) {
    const std::lock_guard<std::mutex> lock(mutex_);
    // Those that came before it in its stream are done by then too.
    const auto same = [&](const Moment& one) { return one.stream == moment.stream; };
    submitted_.erase(std::remove_if(submitted_.begin(), submitted_.end(), same), submitted_.end());
    submitted_.push_back(moment);
  }
  void WaitForAll() {
    std::vector<Moment> submitted;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      submitted.swap(submitted_);
    }
    for (const Moment& moment : submitted) WaitFor(moment);
  }

  std::shared_ptr<Ticket> Begin(const Operation& operation) {
    const auto ticket = std::make_shared<Ticket>();
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      waiting_.push_back({operation, ticket});
    }
    changed_.notify_all();
    return ticket;
  }

 private:
  struct Order {
    Operation operation;
    std::shared_ptr<Ticket> ticket;
  };

  void Work() {
    SetCurrentDevice(device_);
    for (;;) {
      Order order;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [this] { return ending_ || !waiting_.empty(); });
        if (waiting_.empty()) return;
        order = waiting_.front();
        waiting_.pop_front();
      }
      if (error_ == ncclSuccess) {
        const AccessToAll access;
        const ncclResult_t result = Run(order.operation);
        if (result != ncclSuccess) error_ = result;
      }
      order.ticket->Done(error_);
    }
  }

  ncclResult_t Run(const Operation& operation) {
    Clique& clique = mapping_->clique();
    clique.rank[rank_].terms = operation.terms;
    if (const ncclResult_t result = Meet(operation.terms)) return result;
    for (int i = 0; i < ranks_; ++i) {
      if (clique.rank[i].terms == operation.terms) continue;
      clique.failed = 1;
      return Fail(ncclInvalidUsage, "rank " + std::to_string(rank_) + " calls " + Describe(operation.terms) +
                                        ", but rank " + std::to_string(i) + " " +
                                        Describe(clique.rank[i].terms));
    }
    const ncclResult_t result = operation.terms.kind == Kind::kJoin ? Join() : Exchange(operation);
    // Nobody changes the terms before all have seen them.
    const ncclResult_t met = Meet(operation.terms);
    return result ? result : met;
  }

  ncclResult_t Join() {
    // All are here: nobody needs the name any more.
    if (rank_ == 0) shm_unlink(name_.c_str());
    const Clique& clique = mapping_->clique();
    for (int i = 0; i < ranks_; ++i) {
      if (i == rank_ || clique.rank[i].device != device_) continue;
      return Fail(ncclInvalidUsage, "ranks " + std::to_string(rank_) + " and " + std::to_string(i) +
                                        " are both on GPU " + std::to_string(device_));
    }
    return ncclSuccess;
  }

  ncclResult_t Exchange(const Operation& operation) {
    const Terms& terms = operation.terms;
    const size_t size = SizeOf(terms.type);
    const size_t step = kChunkBytes / size;
    const int parts = terms.kind == Kind::kReduceScatter ? ranks_ : 1;
    std::vector<const char*> chunks;
    for (int i = 0; i < ranks_; ++i) chunks.push_back(mapping_->chunk(i));
    const char* const send = static_cast<const char*>(operation.send);
    char* const receive = static_cast<char*>(operation.receive);
    for (int part = 0; part < parts; ++part) {
      for (size_t first = 0; first < terms.count; first += step) {
        const size_t count = std::min<size_t>(step, terms.count - first);
        if (terms.kind != Kind::kBroadcast || rank_ == terms.root) {
          std::memcpy(mapping_->chunk(rank_), send + (part * terms.count + first) * size, count * size);
        }
        if (const ncclResult_t result = Meet(terms)) return result;
        char* const to = receive + first * size;
        switch (terms.kind) {
          case Kind::kAllReduce:
            ReduceChunks(terms.type, chunks, count, terms.op, to);
            break;
          case Kind::kReduce:
            if (rank_ == terms.root) ReduceChunks(terms.type, chunks, count, terms.op, to);
            break;
          case Kind::kBroadcast:
            std::memcpy(to, chunks[terms.root], count * size);
            break;
          case Kind::kAllGather:
            for (int i = 0; i < ranks_; ++i)
              std::memcpy(to + i * terms.count * size, chunks[i], count * size);
            break;
          case Kind::kReduceScatter:
            if (rank_ == part) ReduceChunks(terms.type, chunks, count, terms.op, to);
            break;
          case Kind::kJoin:
            break;
        }
        if (const ncclResult_t result = Meet(terms)) return result;
      }
    }
    return ncclSuccess;
  }

  /// Waits until all ranks have come as far.
  ncclResult_t Meet(const Terms& terms) {
    Clique& clique = mapping_->clique();
    const uint64_t mine = ++clique.rank[rank_].barriers;
    const auto deadline = std::chrono::steady_clock::now() + Timeout();
    for (int i = 0; i < ranks_; ++i) {
      for (int polls = 0; clique.rank[i].barriers < mine; ++polls) {
        if (aborted_) return ncclInternalError;
        if (clique.failed) return Fail(ncclRemoteError, "another rank has failed");
        if (polls < 100) {
          std::this_thread::yield();
        } else {
          std::this_thread::sleep_for(std::chrono::microseconds(50));
        }
        if (std::chrono::steady_clock::now() > deadline) {
          clique.failed = 1;
          return Fail(ncclSystemError, "rank " + std::to_string(rank_) + " has waited too long for rank " +
                                           std::to_string(i) + " in " + Describe(terms));
        }
      }
    }
    return ncclSuccess;
  }

  const std::unique_ptr<Mapping> mapping_;
  const std::string name_;
  const int rank_, ranks_, device_;
  std::atomic<bool> aborted_{false};
  std::atomic<ncclResult_t> error_{ncclSuccess};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Order> waiting_;
  std::vector<Moment> submitted_;
  bool ending_ = false;
  std::thread worker_;
};

namespace gpu_emulator {
namespace {

// ---- Groups: what the thread calls in one begins at its end ----

using CommPointer = std::shared_ptr<ncclComm>;

/// The communicators that there are handles of.
struct Comms {
  std::mutex mutex;
  std::map<ncclComm_t, CommPointer> all;
};

Comms& TheComms() {
  static Comms* const comms = new Comms;
  return *comms;
}

CommPointer Find(ncclComm_t comm) {
  const std::lock_guard<std::mutex> lock(TheComms().mutex);
  const auto found = TheComms().all.find(comm);
  return found == TheComms().all.end() ? nullptr : found->second;
}

/// @return what the handle stood for.
CommPointer Remove(ncclComm_t comm) {
  const std::lock_guard<std::mutex> lock(TheComms().mutex);
  const auto found = TheComms().all.find(comm);
  if (found == TheComms().all.end()) return nullptr;
  const CommPointer removed = found->second;
  TheComms().all.erase(found);
  return removed;
}

struct GroupState {
  int depth = 0;
  ncclResult_t error = ncclSuccess;
  struct Join {
    CommPointer comm;
    /// Where the handle is to be.
    ncclComm_t* handle;
  };
  std::vector<Join> joins;
  struct Call {
    CommPointer comm;
    Operation operation;
    cudaStream_t stream;
  };
  std::vector<Call> calls;
};
thread_local GroupState group;

ncclResult_t FinishJoins(const std::vector<GroupState::Join>& joins) {
  constexpr Operation kJoin = {{Kind::kJoin, ncclInt8, ncclSum, 0, 0}, nullptr, nullptr};
  std::vector<std::shared_ptr<Ticket>> tickets;
  for (const GroupState::Join& join : joins) tickets.push_back(join.comm->Begin(kJoin));
  ncclResult_t result = ncclSuccess;
  for (size_t i = 0; i < joins.size(); ++i) {
    const ncclResult_t one = tickets[i]->Wait();
    if (one != ncclSuccess) {
      if (result == ncclSuccess) result = one;
      continue;
    }
    const std::lock_guard<std::mutex> lock(TheComms().mutex);
    *joins[i].handle = joins[i].comm.get();
    TheComms().all[joins[i].comm.get()] = joins[i].comm;
  }
  return result;
}

void FinishCall(const GroupState::Call& call) {
  const int device = CurrentDevice();
  SetCurrentDevice(call.comm->device());
  const auto ticket = std::make_shared<std::shared_ptr<Ticket>>();
  call.comm->Add(SubmitDetached(
      call.stream, [=, comm = call.comm, operation = call.operation] { *ticket = comm->Begin(operation); },
      [=] { return (*ticket)->IsDone(); }));
  SetCurrentDevice(device);
}

/// In a group, what is wrong fails the group too.
ncclResult_t FailCall(ncclResult_t result, const std::string& message) {
  if (group.depth > 0 && group.error == ncclSuccess) group.error = result;
  return Fail(result, message);
}

bool CheckBuffer(const CommPointer& comm, const char* function, const char* name, const void* buffer,
                 uint64_t elements, ncclDataType_t type) {
  const int device = CurrentDevice();
  SetCurrentDevice(comm->device());
  const bool valid = CheckOperand(function, name, buffer, elements * SizeOf(type));
  SetCurrentDevice(device);
  return valid;
}

ncclResult_t Collective(const Terms& terms, const void* send, void* receive, ncclComm_t handle,
                        cudaStream_t stream) {
  const char* const function = kKindNames[static_cast<int>(terms.kind)];
  const CommPointer comm = Find(handle);
  if (!comm) return FailCall(ncclInvalidArgument, std::string(function) + ": no communicator");
  const bool rooted = terms.kind == Kind::kReduce || terms.kind == Kind::kBroadcast;
  if (SizeOf(terms.type) == 0 || terms.op < ncclSum || terms.op > ncclAvg ||
      (rooted && (terms.root < 0 || terms.root >= comm->ranks()))) {
    return FailCall(ncclInvalidArgument, "invalid arguments of " + Describe(terms));
  }
  if (!CanUseStream(stream, comm->device())) {
    return FailCall(ncclInvalidUsage,
                    std::string(function) + ": the stream is not one of the communicator's GPU");
  }
  const uint64_t ranks = static_cast<uint64_t>(comm->ranks());
  const bool is_root = comm->rank() == terms.root;
  const bool sends = terms.kind != Kind::kBroadcast || is_root;
  const bool receives = terms.kind != Kind::kReduce || is_root;
  const uint64_t sent = terms.kind == Kind::kReduceScatter ? terms.count * ranks : terms.count;
  const uint64_t received = terms.kind == Kind::kAllGather ? terms.count * ranks : terms.count;
  if ((sends && !CheckBuffer(comm, function, "the send buffer", send, sent, terms.type)) ||
      (receives && !CheckBuffer(comm, function, "the receive buffer", receive, received, terms.type))) {
    return FailCall(ncclInvalidArgument, "invalid buffer of " + Describe(terms));
  }
  const GroupState::Call call{comm, {terms, send, receive}, stream};
  if (group.depth > 0) {
    group.calls.push_back(call);
  } else {
    FinishCall(call);
  }
  return ncclSuccess;
}

/// @return nullptr with *result set, where that fails.
CommPointer Enter(int ranks, const ncclUniqueId& id, int rank, int device, ncclResult_t* result) {
  const std::string name(id.internal, strnlen(id.internal, sizeof(id.internal)));
  auto mapping = std::make_unique<Mapping>(name);
  if (!mapping->valid()) {
    *result = FailCall(ncclSystemError, "there is no clique of this unique id, or no longer");
    return nullptr;
  }
  Clique& clique = mapping->clique();
  int expected = 0;
  if (!clique.ranks.compare_exchange_strong(expected, ranks) && expected != ranks) {
    *result = FailCall(ncclInvalidUsage, "rank " + std::to_string(rank) + " says that there are " +
                                             std::to_string(ranks) + " ranks, another one " +
                                             std::to_string(expected));
    return nullptr;
  }
  if (clique.rank[rank].joined.exchange(1)) {
    *result = FailCall(ncclInvalidUsage, "there are two ranks " + std::to_string(rank));
    return nullptr;
  }
  clique.rank[rank].device = device;
  *result = ncclSuccess;
  return std::make_shared<ncclComm>(std::move(mapping), name, rank, ranks, device);
}

}  // namespace
}  // namespace gpu_emulator

ncclResult_t ncclGetVersion(int* version) {
  if (!version) return ncclInvalidArgument;
  *version = NCCL_VERSION_CODE;
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess:
      return "no error";
    case ncclUnhandledCudaError:
      return "unhandled cuda error";
    case ncclSystemError:
      return "unhandled system error";
    case ncclInternalError:
      return "internal error";
    case ncclInvalidArgument:
      return "invalid argument";
    case ncclInvalidUsage:
      return "invalid usage";
    case ncclRemoteError:
      return "remote process exited or there was a network error";
    case ncclInProgress:
      return "NCCL operation in progress";
  }
  return "unknown result code";
}

const char* ncclGetLastError(ncclComm_t) { return last_error.c_str(); }

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  if (!id) return FailCall(ncclInvalidArgument, "ncclGetUniqueId: no place for the id");
  static OwnFiles own_files;
  std::random_device random;
  std::memset(id->internal, 0, sizeof(id->internal));
  std::snprintf(id->internal, sizeof(id->internal), "/emulated-nccl-%d-%08x%08x", static_cast<int>(getpid()),
                static_cast<unsigned>(random()), static_cast<unsigned>(random()));
  const int file = shm_open(id->internal, O_RDWR | O_CREAT | O_EXCL, 0600);
  if (file < 0) return FailCall(ncclSystemError, "there can be no file of shared memory");
  own_files.Add(id->internal);
  const bool sized = ftruncate(file, static_cast<off_t>(kFileBytes)) == 0;
  close(file);
  return sized ? ncclSuccess : FailCall(ncclSystemError, "there is no room for a file of shared memory");
}

ncclResult_t ncclCommInitRank(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank) {
  if (NeedDevice() != cudaSuccess) return FailCall(ncclUnhandledCudaError, "there is no GPU");
  if (!comm || ranks < 1 || ranks > kMostRanks || rank < 0 || rank >= ranks) {
    return FailCall(ncclInvalidArgument,
                    "ncclCommInitRank: rank " + std::to_string(rank) + " of " + std::to_string(ranks));
  }
  *comm = nullptr;
  ncclResult_t result;
  const CommPointer entered = Enter(ranks, id, rank, CurrentDevice(), &result);
  if (!entered) return result;
  if (group.depth == 0) return FinishJoins({{entered, comm}});
  group.joins.push_back({entered, comm});
  return ncclSuccess;
}

ncclResult_t ncclCommInitAll(ncclComm_t* comms, int count, const int* devices) {
  if (NeedDevice() != cudaSuccess) return FailCall(ncclUnhandledCudaError, "there is no GPU");
  if (!comms || count < 1 || count > DeviceCount()) {
    return FailCall(ncclInvalidArgument, "ncclCommInitAll: " + std::to_string(count) + " GPUs");
  }
  for (int i = 0; i < count; ++i) {
    comms[i] = nullptr;
    if (devices && (devices[i] < 0 || devices[i] >= DeviceCount())) {
      return FailCall(ncclInvalidArgument, "ncclCommInitAll: GPU " + std::to_string(devices[i]));
    }
    if (devices && std::count(devices, devices + i, devices[i]) > 0) {
      return FailCall(ncclInvalidUsage, "ncclCommInitAll: GPU " + std::to_string(devices[i]) + " twice");
    }
  }
  ncclUniqueId id;
  if (const ncclResult_t result = ncclGetUniqueId(&id)) return result;
  std::vector<GroupState::Join> joins;
  for (int i = 0; i < count; ++i) {
    ncclResult_t result;
    const CommPointer entered = Enter(count, id, i, devices ? devices[i] : i, &result);
    if (!entered) return result;
    joins.push_back({entered, &comms[i]});
  }
  return FinishJoins(joins);
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  const CommPointer found = Find(comm);
  if (!found) return ncclInvalidArgument;
  found->WaitForAll();
  return found->error();
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  if (!comm) return ncclSuccess;
  const CommPointer removed = Remove(comm);
  if (!removed) return FailCall(ncclInvalidArgument, "ncclCommDestroy: no communicator");
  removed->WaitForAll();
  return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  if (!comm) return ncclSuccess;
  const CommPointer removed = Remove(comm);
  if (!removed) return FailCall(ncclInvalidArgument, "ncclCommAbort: no communicator");
  removed->Abort();
  removed->WaitForAll();
  return ncclSuccess;
}

ncclResult_t ncclCommCount(const ncclComm_t comm, int* count) {
  const CommPointer found = Find(comm);
  if (!found || !count) return ncclInvalidArgument;
  *count = found->ranks();
  return ncclSuccess;
}

ncclResult_t ncclCommCuDevice(const ncclComm_t comm, int* device) {
  const CommPointer found = Find(comm);
  if (!found || !device) return ncclInvalidArgument;
  *device = found->device();
  return ncclSuccess;
}

ncclResult_t ncclCommUserRank(const ncclComm_t comm, int* rank) {
  const CommPointer found = Find(comm);
  if (!found || !rank) return ncclInvalidArgument;
  *rank = found->rank();
  return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* error) {
  const CommPointer found = Find(comm);
  if (!found || !error) return ncclInvalidArgument;
  *error = found->error();
  return ncclSuccess;
}

ncclResult_t ncclAllReduce(const void* send, void* receive, size_t count, ncclDataType_t type, ncclRedOp_t op,
                           ncclComm_t comm, cudaStream_t stream) {
  return Collective({Kind::kAllReduce, type, op, 0, count}, send, receive, comm, stream);
}

ncclResult_t ncclReduce(const void* send, void* receive, size_t count, ncclDataType_t type, ncclRedOp_t op,
                        int root, ncclComm_t comm, cudaStream_t stream) {
  return Collective({Kind::kReduce, type, op, root, count}, send, receive, comm, stream);
}

ncclResult_t ncclBroadcast(const void* send, void* receive, size_t count, ncclDataType_t type, int root,
                           ncclComm_t comm, cudaStream_t stream) {
  return Collective({Kind::kBroadcast, type, ncclSum, root, count}, send, receive, comm, stream);
}

ncclResult_t ncclBcast(void* data, size_t count, ncclDataType_t type, int root, ncclComm_t comm,
                       cudaStream_t stream) {
  return ncclBroadcast(data, data, count, type, root, comm, stream);
}

ncclResult_t ncclAllGather(const void* send, void* receive, size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream) {
  return Collective({Kind::kAllGather, type, ncclSum, 0, count}, send, receive, comm, stream);
}

ncclResult_t ncclReduceScatter(const void* send, void* receive, size_t count, ncclDataType_t type,
                               ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  return Collective({Kind::kReduceScatter, type, op, 0, count}, send, receive, comm, stream);
}

ncclResult_t ncclGroupStart() {
  ++group.depth;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  if (group.depth == 0) return Fail(ncclInvalidUsage, "ncclGroupEnd without ncclGroupStart");
  if (--group.depth > 0) return ncclSuccess;
  const GroupState ended = std::exchange(group, GroupState());
  if (ended.error != ncclSuccess) return ended.error;
  if (const ncclResult_t result = FinishJoins(ended.joins)) return result;
  for (const GroupState::Call& call : ended.calls) FinishCall(call);
  return ncclSuccess;
}
