// Streams and events.
//
// A stream is a queue of tasks, which some thread of the host works off: the one that submits or the one that
// waits. A task may depend on moments of other streams, whose tasks are worked off before.

#include "streams.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "cuda_runtime.h"
#include "state.hpp"

namespace gpu_emulator {
namespace {

struct Task {
  std::vector<Moment> after;
  std::function<void()> start;
  /// Empty: it is done when started.
  std::function<bool()> is_done;
  /// The one that start runs with.
  int device;
  bool started;
};

}  // namespace
}  // namespace gpu_emulator

using gpu_emulator::CurrentDevice;
using gpu_emulator::Moment;

/// What was put into a stream while it was captured, with the GPU that was current.
struct CUgraph_st {
  struct Work {
    std::function<void()> start;
    int device;
  };
  std::vector<Work> work;
};

struct CUgraphExec_st {
  std::shared_ptr<const CUgraph_st> graph;
};

struct CUstream_st {
  int device;
  /// The legacy stream waits for it, and it for the legacy stream.
  bool blocking;
  int priority;
  std::deque<gpu_emulator::Task> tasks;
  uint64_t submitted = 0;
  uint64_t completed = 0;
  /// False: there is no handle any more.
  bool alive = true;
  /// Somebody has been told that it is not ready.
  bool was_asked = false;
  /// Where it is captured: what is put into it goes there, by this thread.
  std::unique_ptr<CUgraph_st> captured;
  std::thread::id capturer;

  CUstream_st(int in_device, bool in_blocking, int in_priority)
      : device(in_device), blocking(in_blocking), priority(in_priority) {}
};

struct CUevent_st {
  struct Record {
    std::chrono::steady_clock::time_point time;
  };
  int device;
  unsigned flags;
  std::shared_ptr<Record> record;
  Moment moment;
};

namespace gpu_emulator {
namespace {

using StreamPointer = std::shared_ptr<CUstream_st>;

thread_local uint64_t count_of_thread = 0;

constexpr int kLeastPriority = 0;
constexpr int kGreatestPriority = -5;

/// All streams, and the lock for what is in them. Only its holder works them off.
struct Engine {
  std::recursive_mutex mutex;
  std::vector<StreamPointer> of_device[kMostDevices];
  StreamPointer legacy[kMostDevices];
  std::set<cudaEvent_t> events;
  /// Tasks in all streams. As long as there are none, nobody has to look for them.
  std::atomic<int> pending{0};
  /// Streams that are captured, likewise.
  std::atomic<int> captures{0};
};

Engine& TheEngine() {
  // Never destroyed: threads may end after main.
  static Engine* const engine = new Engine;
  return *engine;
}

using Lock = std::lock_guard<std::recursive_mutex>;

StreamPointer NewStream(int device, bool blocking, int priority) {
  const Lock lock(TheEngine().mutex);
  auto stream = std::make_shared<CUstream_st>(device, blocking, priority);
  TheEngine().of_device[device].push_back(stream);
  return stream;
}

void RemoveIfDone(const CUstream_st& stream) {
  if (stream.alive || !stream.tasks.empty()) return;
  std::vector<StreamPointer>& streams = TheEngine().of_device[stream.device];
  streams.erase(std::remove_if(streams.begin(), streams.end(),
                               [&](const StreamPointer& one) { return one.get() == &stream; }),
                streams.end());
}

/// What is in it is still done.
void EndStream(const StreamPointer& stream) {
  const Lock lock(TheEngine().mutex);
  stream->alive = false;
  RemoveIfDone(*stream);
}

/// The calling thread's own streams.
class StreamsOfThread {
 public:
  ~StreamsOfThread() {
    for (const StreamPointer& stream : streams_) {
      if (stream) EndStream(stream);
    }
  }
  const StreamPointer& Get(int device) {
    if (!streams_[device]) streams_[device] = NewStream(device, true, kLeastPriority);
    return streams_[device];
  }

 private:
  StreamPointer streams_[kMostDevices];
};

bool IsSpecial(cudaStream_t stream) {
  return stream == nullptr || stream == cudaStreamLegacy || stream == cudaStreamPerThread;
}

/// nullptr where there is no such stream.
StreamPointer Find(cudaStream_t stream) {
  Engine& engine = TheEngine();
  if (stream == cudaStreamLegacy) {
    const Lock lock(engine.mutex);
    StreamPointer& legacy = engine.legacy[CurrentDevice()];
    // It does not wait for itself as for others.
    if (!legacy) legacy = NewStream(CurrentDevice(), false, kLeastPriority);
    return legacy;
  }
  if (IsSpecial(stream)) {
    // The code is compiled for per-thread default streams.
    static thread_local StreamsOfThread of_thread;
    return of_thread.Get(CurrentDevice());
  }
  const Lock lock(engine.mutex);
  for (const auto& streams : engine.of_device) {
    for (const StreamPointer& one : streams) {
      if (one.get() == stream && one->alive) return one;
    }
  }
  return nullptr;
}

/// What a task that is submitted to the stream now has to wait for, besides the tasks before it.
std::vector<Moment> ImplicitlyAfter(const StreamPointer& stream) {
  Engine& engine = TheEngine();
  std::vector<Moment> after;
  const StreamPointer& legacy = engine.legacy[stream->device];
  if (stream == legacy) {
    for (const StreamPointer& other : engine.of_device[stream->device]) {
      if (other->blocking && !other->tasks.empty()) after.push_back({other, other->submitted});
    }
  } else if (stream->blocking && legacy && !legacy->tasks.empty()) {
    after.push_back({legacy, legacy->submitted});
  }
  return after;
}

void Run(const std::function<void()>& work, int device) {
  struct Restore {
    int device = CurrentDevice();
    ~Restore() { SetCurrentDevice(device); }
  } restore;
  SetCurrentDevice(device);
  work();
}

/// Works off what comes before the moment, as far as that goes without waiting. @return whether all is done.
bool Advance(const Moment& moment) {
  if (!moment.stream) return true;
  CUstream_st& stream = *moment.stream;
  while (stream.completed < moment.position) {
    Task& task = stream.tasks.front();
    if (!task.started) {
      for (const Moment& before : task.after) {
        if (!Advance(before)) return false;
      }
      task.started = true;
      if (task.start) {
        try {
          Run(task.start, task.device);
        } catch (...) {
          // It is not tried again.
          stream.tasks.pop_front();
          ++stream.completed;
          --TheEngine().pending;
          throw;
        }
      }
    }
    if (task.is_done && !task.is_done()) return false;
    stream.tasks.pop_front();
    ++stream.completed;
    --TheEngine().pending;
  }
  if (stream.tasks.empty()) {
    stream.was_asked = false;
    RemoveIfDone(stream);
  }
  return true;
}

/// Works off all streams, as far as that goes without waiting: what a moment waits for may in turn wait for
/// another stream, by ways that are not known here.
void AdvanceAll() {
  for (const auto& streams : TheEngine().of_device) {
    // They may leave the list.
    const std::vector<StreamPointer> present = streams;
    for (const StreamPointer& stream : present) Advance({stream, stream->submitted});
  }
}

/// Whether the stream is captured.
bool IsCaptured(const StreamPointer& stream) {
  if (TheEngine().captures == 0) return false;
  const Lock lock(TheEngine().mutex);
  return stream->captured != nullptr;
}

/// cudaSuccess where the legacy stream waits for no stream that is captured.
cudaError_t ValidLegacy() {
  Engine& engine = TheEngine();
  if (engine.captures == 0) return cudaSuccess;
  const Lock lock(engine.mutex);
  for (const StreamPointer& stream : engine.of_device[CurrentDevice()]) {
    if (stream->blocking && stream->captured) return cudaErrorStreamCaptureImplicit;
  }
  return cudaSuccess;
}

void Append(const StreamPointer& stream, Task task) {
  if (stream->captured) throw std::logic_error("emulated GPU: only kernels and copies can be captured");
  std::vector<Moment> implicit = ImplicitlyAfter(stream);
  task.after.insert(task.after.end(), implicit.begin(), implicit.end());
  stream->tasks.push_back(std::move(task));
  ++stream->submitted;
  ++TheEngine().pending;
  if (!IsLazy()) Advance({stream, stream->submitted});
}

/// For cudaStreamQuery and cudaEventQuery. Who is lazy says no at first.
bool HasPassed(const Moment& moment) {
  const Lock lock(TheEngine().mutex);
  if (!moment.stream || moment.stream->completed >= moment.position) return true;
  if (IsLazy() && !std::exchange(moment.stream->was_asked, true)) return false;
  if (Advance(moment)) return true;
  AdvanceAll();
  return moment.stream->completed >= moment.position;
}

Moment MomentOf(cudaEvent_t event) {
  const Lock lock(TheEngine().mutex);
  return event->moment;
}

cudaError_t ValidEvent(cudaEvent_t event) {
  if (const cudaError_t error = NeedDevice()) return error;
  const Lock lock(TheEngine().mutex);
  return TheEngine().events.count(event) ? cudaSuccess : cudaErrorInvalidResourceHandle;
}

}  // namespace

cudaError_t ValidStream(cudaStream_t stream) {
  if (const cudaError_t error = NeedDevice()) return error;
  if (stream == cudaStreamLegacy) return ValidLegacy();
  return IsSpecial(stream) || Find(stream) ? cudaSuccess : cudaErrorInvalidResourceHandle;
}

int DeviceOfStream(cudaStream_t stream) { return IsSpecial(stream) ? CurrentDevice() : stream->device; }

bool CanUseStream(cudaStream_t stream, int device) {
  return IsSpecial(stream) || (Find(stream) && stream->device == device);
}

void WaitForTurn(cudaStream_t stream) {
  Engine& engine = TheEngine();
  if (engine.pending == 0) return;
  const StreamPointer found = Find(stream);
  Moment moment;
  {
    const Lock lock(engine.mutex);
    Append(found, {{}, nullptr, nullptr, CurrentDevice(), false});
    moment = {found, found->submitted};
  }
  WaitFor(moment);
}

uint64_t CountOfThread() { return count_of_thread; }
void AddToCount() { ++count_of_thread; }

bool RunsNow(cudaStream_t stream) {
  if (IsLazy() || (TheEngine().captures > 0 && IsCaptured(Find(stream)))) return false;
  // Only detached work can be in the way.
  WaitForTurn(stream);
  return true;
}

void Enqueue(cudaStream_t stream, std::function<void()> work) {
  const StreamPointer found = Find(stream);
  // For long enough that others meet it.
  if (IsCaptured(found)) std::this_thread::sleep_for(std::chrono::microseconds(20));
  const Lock lock(TheEngine().mutex);
  if (found->captured) {
    found->captured->work.push_back({std::move(work), CurrentDevice()});
    return;
  }
  Append(found, {{}, std::move(work), nullptr, CurrentDevice(), false});
}

Moment SubmitDetached(cudaStream_t stream, std::function<void()> start, std::function<bool()> is_done) {
  const StreamPointer found = Find(stream);
  const Lock lock(TheEngine().mutex);
  Append(found, {{}, std::move(start), std::move(is_done), CurrentDevice(), false});
  return {found, found->submitted};
}

Moment Now(cudaStream_t stream) {
  Engine& engine = TheEngine();
  if (engine.pending == 0) return {};
  const StreamPointer found = Find(stream);
  const Lock lock(engine.mutex);
  return {found, found->submitted};
}

void WaitFor(const Moment& moment) {
  for (;;) {
    {
      const Lock lock(TheEngine().mutex);
      if (Advance(moment)) return;
      AdvanceAll();
    }
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
}

void WaitForStream(cudaStream_t stream) { WaitFor(Now(stream)); }

void WaitForDevice(int device) {
  Engine& engine = TheEngine();
  if (engine.pending == 0) return;
  std::vector<Moment> moments;
  {
    const Lock lock(engine.mutex);
    for (const StreamPointer& stream : engine.of_device[device])
      moments.push_back({stream, stream->submitted});
  }
  for (const Moment& moment : moments) WaitFor(moment);
}

}  // namespace gpu_emulator

using namespace gpu_emulator;

// ---- Streams ----

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int priority) {
  RETURN_IF_ERROR(NeedDevice());
  if (!stream || (flags != cudaStreamDefault && flags != cudaStreamNonBlocking)) {
    return Report(cudaErrorInvalidValue);
  }
  *stream = NewStream(CurrentDevice(), flags == cudaStreamDefault,
                      std::clamp(priority, kGreatestPriority, kLeastPriority))
                .get();
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return cudaStreamCreateWithPriority(stream, flags, kLeastPriority);
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithPriority(stream, cudaStreamDefault, kLeastPriority);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  RETURN_IF_ERROR(NeedDevice());
  const StreamPointer found = IsSpecial(stream) ? nullptr : Find(stream);
  if (!found) return Report(cudaErrorInvalidResourceHandle);
  EndStream(found);
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  RETURN_IF_ERROR(ValidStream(stream));
  if (IsCaptured(Find(stream))) return Report(cudaErrorStreamCaptureUnsupported);
  WaitForStream(stream);
  return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  RETURN_IF_ERROR(ValidStream(stream));
  return HasPassed(Now(stream)) ? cudaSuccess : Report(cudaErrorNotReady);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
  RETURN_IF_ERROR(ValidStream(stream));
  RETURN_IF_ERROR(ValidEvent(event));
  if (flags != cudaEventWaitDefault) return Report(cudaErrorInvalidValue);
  const StreamPointer found = Find(stream);
  const Lock lock(TheEngine().mutex);
  const Moment moment = event->moment;
  if (moment.stream && moment.stream != found && moment.stream->completed < moment.position) {
    Append(found, {{moment}, nullptr, nullptr, CurrentDevice(), false});
  }
  return cudaSuccess;
}

cudaError_t cudaStreamGetFlags(cudaStream_t stream, unsigned* flags) {
  RETURN_IF_ERROR(ValidStream(stream));
  if (!flags) return Report(cudaErrorInvalidValue);
  *flags = IsSpecial(stream) || stream->blocking ? cudaStreamDefault : cudaStreamNonBlocking;
  return cudaSuccess;
}

cudaError_t cudaStreamGetPriority(cudaStream_t stream, int* priority) {
  RETURN_IF_ERROR(ValidStream(stream));
  if (!priority) return Report(cudaErrorInvalidValue);
  *priority = IsSpecial(stream) ? kLeastPriority : stream->priority;
  return cudaSuccess;
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  RETURN_IF_ERROR(ValidStream(stream));
  if (!function) return Report(cudaErrorInvalidValue);
  Submit(stream, [=] { function(data); });
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
  RETURN_IF_ERROR(NeedDevice());
  WaitForDevice(CurrentDevice());
  return cudaSuccess;
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  RETURN_IF_ERROR(NeedDevice());
  if (least) *least = kLeastPriority;
  if (greatest) *greatest = kGreatestPriority;
  return cudaSuccess;
}

// ---- Graphs ----

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  RETURN_IF_ERROR(ValidStream(stream));
  if (stream == cudaStreamLegacy) return Report(cudaErrorStreamCaptureUnsupported);
  const StreamPointer found = Find(stream);
  const Lock lock(TheEngine().mutex);
  if (found->captured) return Report(cudaErrorIllegalState);
  found->captured = std::make_unique<CUgraph_st>();
  found->capturer = std::this_thread::get_id();
  ++TheEngine().captures;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  RETURN_IF_ERROR(ValidStream(stream));
  if (!graph) return Report(cudaErrorInvalidValue);
  const StreamPointer found = Find(stream);
  const Lock lock(TheEngine().mutex);
  if (!found->captured) return Report(cudaErrorIllegalState);
  if (found->capturer != std::this_thread::get_id()) return Report(cudaErrorStreamCaptureWrongThread);
  *graph = found->captured.release();
  --TheEngine().captures;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  RETURN_IF_ERROR(NeedDevice());
  if (!executable || !graph) return Report(cudaErrorInvalidValue);
  *executable = new CUgraphExec_st{std::make_shared<const CUgraph_st>(*graph)};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  RETURN_IF_ERROR(ValidStream(stream));
  if (!executable) return Report(cudaErrorInvalidValue);
  Submit(stream, [graph = executable->graph] {
    for (const CUgraph_st::Work& work : graph->work) Run(work.start, work.device);
  });
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  if (!graph) return Report(cudaErrorInvalidValue);
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  if (!executable) return Report(cudaErrorInvalidValue);
  delete executable;
  return cudaSuccess;
}

// ---- Events ----

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  RETURN_IF_ERROR(NeedDevice());
  if (!event) return Report(cudaErrorInvalidValue);
  const Lock lock(TheEngine().mutex);
  *event = new CUevent_st{CurrentDevice(), flags, nullptr, {}};
  TheEngine().events.insert(*event);
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  RETURN_IF_ERROR(ValidEvent(event));
  const Lock lock(TheEngine().mutex);
  TheEngine().events.erase(event);
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  RETURN_IF_ERROR(ValidStream(stream));
  RETURN_IF_ERROR(ValidEvent(event));
  // The two have to be of one device.
  if (DeviceOfStream(stream) != event->device) return Report(cudaErrorInvalidResourceHandle);
  const StreamPointer found = Find(stream);
  const Lock lock(TheEngine().mutex);
  const auto record = std::make_shared<CUevent_st::Record>();
  event->record = record;
  Append(
      found,
      {{}, [record] { record->time = std::chrono::steady_clock::now(); }, nullptr, CurrentDevice(), false});
  event->moment = {found, found->submitted};
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  RETURN_IF_ERROR(ValidEvent(event));
  WaitFor(MomentOf(event));
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  RETURN_IF_ERROR(ValidEvent(event));
  return HasPassed(MomentOf(event)) ? cudaSuccess : Report(cudaErrorNotReady);
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  RETURN_IF_ERROR(ValidEvent(start));
  RETURN_IF_ERROR(ValidEvent(end));
  if (!milliseconds) return Report(cudaErrorInvalidValue);
  if (!start->record || !end->record || (start->flags | end->flags) & cudaEventDisableTiming) {
    return Report(cudaErrorInvalidResourceHandle);
  }
  const Lock lock(TheEngine().mutex);
  for (const cudaEvent_t event : {start, end}) {
    if (event->moment.stream->completed < event->moment.position) return Report(cudaErrorNotReady);
  }
  *milliseconds = std::chrono::duration<float, std::milli>(end->record->time - start->record->time).count();
  return cudaSuccess;
}
