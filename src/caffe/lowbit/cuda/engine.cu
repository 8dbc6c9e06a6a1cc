#include <algorithm>
#include <cstring>
#include <mutex>
#include <string>
#include <utility>

#include "caffe/lowbit/cuda/recordings.hpp"
#include "caffe/lowbit/cuda/stage.hpp"
#include "caffe/lowbit/gpu_engine.hpp"
#include "caffe/lowbit/memory_plan.hpp"
#include "caffe/lowbit/thread_pool.hpp"

namespace caffe {
namespace lowbit {
namespace gpu {

namespace {

// Images that pass through the net together: enough that all of a GPU has work in the last layers, too.
constexpr int kMaxImages = 512;
constexpr size_t kMaxPassBytes = size_t{1} << 31;
constexpr size_t kMaxImageBytes = size_t{1} << 32;

// Of every part of a pass's memory.
constexpr size_t kAlignment = 256;
constexpr size_t Aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

/// What a pass needs: memory for the tensors of up to so many images.
struct Workspace {
  int images;
  DeviceBytes memory;
  Tensors tensors;
  /// For each stage.
  std::vector<uint8_t*> rooms;
  /// Inputs and outputs in Caffe's order, on the GPU and on the host; on the GPU these may be the tensors.
  std::vector<float*> inputs, outputs;
  PinnedBytes pinned;
  std::vector<float*> pinned_inputs, pinned_outputs;
  DeviceBytes steps;
  std::vector<StepList> lists;
  /// Of all stages, by the number of images.
  Recordings recordings;
};

/// Memory that a kernel or a GPU's copy reaches by itself.
bool IsReachable(const void* memory) {
  cudaPointerAttributes attributes = {};
  if (cudaPointerGetAttributes(&attributes, memory) != cudaSuccess) {
    cudaGetLastError();
    return false;
  }
  return attributes.type != cudaMemoryTypeUnregistered;
}

class Event {
 public:
  Event() { HWGQ_CUDA_CHECK(cudaEventCreate(&event_)); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void Record() { HWGQ_CUDA_CHECK(cudaEventRecord(event_, cudaStreamPerThread)); }
  double SecondsSince(const Event& start) const {
    float milliseconds = 0;
    HWGQ_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, start.event_, event_));
    return milliseconds / 1e3;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

class Engine : public GpuEngine {
 public:
  Engine(const Plan& plan, int gpu) : plan_(plan), gpu_(gpu) {
    const DeviceScope scope(gpu_);
    CheckCapability();
    FindTensorsByChannels();
    for (const StageInfo& stage : plan.stages) {
      stages_.push_back(MakeStage(plan, stage, by_channels_[stage.inputs[0]]));
    }
    const size_t bytes = PlanMemory(Lifetimes(1)).bytes;
    if (bytes > kMaxImageBytes) {
      throw PlanError("an image takes " + std::to_string(bytes >> 20) +
                      " MiB of the GPU's memory, and at most " + std::to_string(kMaxImageBytes >> 20) +
                      " are taken: let the net have a smaller input");
    }
    max_images_ =
        static_cast<int>(std::clamp<size_t>(kMaxPassBytes / std::max<size_t>(bytes, 1), 1, kMaxImages));
  }

  void Forward(int64_t images, const float* const* inputs, float* const* outputs, int threads,
               std::vector<double>* seconds) const override {
    const DeviceScope scope(gpu_);
    const int most = static_cast<int>(std::min<int64_t>(images, max_images_));
    std::unique_ptr<Workspace> workspace = Take(most);
    for (int64_t first = 0; first < images; first += most) {
      workspace->tensors.images = static_cast<int>(std::min<int64_t>(most, images - first));
      Pass(workspace.get(), first, inputs, outputs, threads, seconds);
    }
    GiveBack(std::move(workspace));
  }

  const char* Kernel(size_t stage) const override { return stages_[stage]->Kernel(); }

 private:
  void CheckCapability() const {
    int major = 0, minor = 0;
    HWGQ_CUDA_CHECK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, gpu_));
    HWGQ_CUDA_CHECK(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, gpu_));
    if (major < 8) {
      throw PlanError("packed inference needs a GPU of compute capability 8.0 or more; GPU " +
                      std::to_string(gpu_) + " has " + std::to_string(major) + "." + std::to_string(minor));
    }
  }

  // Inputs that only convolutions of reals read stay in Caffe's order, which these read as well.
  void FindTensorsByChannels() {
    by_channels_.assign(plan_.tensors.size(), false);
    for (const BlobInfo& input : plan_.inputs) by_channels_[input.tensor] = true;
    for (const BlobInfo& output : plan_.outputs) by_channels_[output.tensor] = false;
    for (const StageInfo& stage : plan_.stages) {
      for (const int input : stage.inputs) {
        if (stage.kind != StageKind::kConvolution) by_channels_[input] = false;
      }
      for (const StepInfo& step : stage.steps) {
        if (step.tensor >= 0) by_channels_[step.tensor] = false;
      }
    }
  }

  // Whether a tensor of the net's interface lies otherwise than in Caffe's order.
  bool IsReordered(int tensor) const {
    const TensorInfo& info = plan_.tensors[tensor];
    return !by_channels_[tensor] && info.pixels() > 1 && info.channels > 1;
  }

  // A workspace that no other pass has, for so many images.
  std::unique_ptr<Workspace> Take(int images) const {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      for (auto it = free_.rbegin(); it != free_.rend(); ++it) {
        if ((*it)->images < images) continue;
        std::unique_ptr<Workspace> found = std::move(*it);
        free_.erase(std::next(it).base());
        return found;
      }
      // One that is too small would never be taken again by a caller of larger batches.
      if (!free_.empty()) free_.pop_back();
    }
    return NewWorkspace(images);
  }

  void GiveBack(std::unique_ptr<Workspace> workspace) const {
    std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(std::move(workspace));
  }

  // When each tensor, then each stage's room, then each input and each output in Caffe's order is needed.
  std::vector<Lifetime> Lifetimes(int images) const {
    const int end = static_cast<int>(stages_.size());
    std::vector<Lifetime> lifetimes(plan_.tensors.size(), {0, end, -1});
    const auto use = [&](int tensor, int stage) {
      const TensorInfo& info = plan_.tensors[tensor];
      lifetimes[tensor].bytes = Aligned(images * ImageBytes(info));
      lifetimes[tensor].first = std::min(lifetimes[tensor].first, stage);
      lifetimes[tensor].last = std::max(lifetimes[tensor].last, stage);
      // What fills pixels up is set to 0 once, and has to stay.
      if (IsFilledUp(info)) lifetimes[tensor].first = 0, lifetimes[tensor].last = end;
    };
    for (const BlobInfo& input : plan_.inputs) use(input.tensor, 0);
    for (const BlobInfo& output : plan_.outputs) use(output.tensor, end);
    for (int s = 0; s < end; ++s) {
      for (const int input : plan_.stages[s].inputs) use(input, s);
      for (const StepInfo& step : plan_.stages[s].steps) {
        if (step.tensor >= 0) use(step.tensor, s);
      }
    }
    for (int s = 0; s < end; ++s) lifetimes.push_back({Aligned(stages_[s]->RoomBytes(images)), s, s});
    for (const auto& [blobs, time] :
         {std::make_pair(&plan_.inputs, 0), std::make_pair(&plan_.outputs, end)}) {
      for (const BlobInfo& blob : *blobs) {
        const size_t bytes = Aligned(images * ImageBytes(plan_.tensors[blob.tensor]));
        lifetimes.push_back({IsReordered(blob.tensor) ? bytes : 0, time, time});
      }
    }
    return lifetimes;
  }

  static bool IsFilledUp(const TensorInfo& tensor) { return PixelStride(tensor) != tensor.channels; }

  std::unique_ptr<Workspace> NewWorkspace(int images) const {
    const MemoryPlan memory = PlanMemory(Lifetimes(images));
    auto workspace = std::make_unique<Workspace>();
    workspace->images = images;
    workspace->memory = DeviceBytes(memory.bytes);
    HWGQ_CUDA_CHECK(cudaMemsetAsync(workspace->memory.data(), 0, memory.bytes, cudaStreamPerThread));
    auto offset = memory.offsets.begin();
    const auto next = [&] { return workspace->memory.data() + *offset++; };
    for (size_t t = 0; t < plan_.tensors.size(); ++t) workspace->tensors.at.push_back(next());
    for (size_t s = 0; s < stages_.size(); ++s) workspace->rooms.push_back(next());
    const auto ordered = [&](const BlobInfo& blob) {
      float* const apart = reinterpret_cast<float*>(next());
      return IsReordered(blob.tensor) ? apart : workspace->tensors.real(blob.tensor);
    };
    for (const BlobInfo& input : plan_.inputs) workspace->inputs.push_back(ordered(input));
    for (const BlobInfo& output : plan_.outputs) workspace->outputs.push_back(ordered(output));
    BindSteps(workspace.get());
    PinBlobs(workspace.get());
    return workspace;
  }

  void BindSteps(Workspace* workspace) const {
    std::vector<DeviceStep> steps;
    std::vector<size_t> firsts;
    for (const auto& stage : stages_) {
      firsts.push_back(steps.size());
      const std::vector<DeviceStep> some = stage->steps().At(workspace->tensors);
      steps.insert(steps.end(), some.begin(), some.end());
    }
    workspace->steps = Upload(steps);
    for (size_t s = 0; s < stages_.size(); ++s) {
      workspace->lists.push_back(stages_[s]->steps().List(workspace->steps.as<DeviceStep>() + firsts[s]));
    }
  }

  void PinBlobs(Workspace* workspace) const {
    size_t bytes = 0;
    std::vector<size_t> offsets;
    for (const auto* blobs : {&plan_.inputs, &plan_.outputs}) {
      for (const BlobInfo& blob : *blobs) {
        offsets.push_back(bytes);
        bytes += Aligned(workspace->images * ImageBytes(plan_.tensors[blob.tensor]));
      }
    }
    workspace->pinned = PinnedBytes(bytes);
    for (size_t i = 0; i < offsets.size(); ++i) {
      float* const at = reinterpret_cast<float*>(workspace->pinned.data() + offsets[i]);
      (i < plan_.inputs.size() ? workspace->pinned_inputs : workspace->pinned_outputs).push_back(at);
    }
  }

  void Pass(Workspace* workspace, int64_t first, const float* const* inputs, float* const* outputs,
            int threads, std::vector<double>* seconds) const {
    const int images = workspace->tensors.images;
    for (size_t i = 0; i < plan_.inputs.size(); ++i) {
      const int index = plan_.inputs[i].tensor;
      const TensorInfo& tensor = plan_.tensors[index];
      CopyIn(inputs[i] + first * tensor.elements(), images * ImageBytes(tensor), threads,
             workspace->pinned_inputs[i], workspace->inputs[i]);
      if (IsReordered(index)) {
        StartFromCaffe(tensor, workspace->inputs[i], images, workspace->tensors.real(index));
      }
    }
    if (seconds) {
      TimeStages(*workspace, seconds);
    } else {
      StartStages(workspace);
    }
    for (size_t i = 0; i < plan_.outputs.size(); ++i) {
      const int index = plan_.outputs[i].tensor;
      const TensorInfo& tensor = plan_.tensors[index];
      float* to = outputs[i] + first * tensor.elements();
      if (!IsReachable(to)) to = workspace->pinned_outputs[i];
      if (IsReordered(index)) {
        StartToCaffe(tensor, workspace->tensors.real(index), images, workspace->outputs[i]);
      }
      HWGQ_CUDA_CHECK(cudaMemcpyAsync(to, workspace->outputs[i], images * ImageBytes(tensor),
                                      cudaMemcpyDefault, cudaStreamPerThread));
    }
    HWGQ_CUDA_CHECK(cudaStreamSynchronize(cudaStreamPerThread));
    for (size_t i = 0; i < plan_.outputs.size(); ++i) {
      const TensorInfo& tensor = plan_.tensors[plan_.outputs[i].tensor];
      float* const to = outputs[i] + first * tensor.elements();
      if (!IsReachable(to)) {
        CopyOnThreads(workspace->pinned_outputs[i], images * ImageBytes(tensor), threads, to);
      }
    }
  }

  // By way of pinned memory, piece by piece, so that the GPU takes one while the next is copied.
  static void CopyIn(const float* from, size_t bytes, int threads, float* pinned, float* to) {
    const auto copy = [](const void* source, size_t size, void* target) {
      HWGQ_CUDA_CHECK(cudaMemcpyAsync(target, source, size, cudaMemcpyDefault, cudaStreamPerThread));
    };
    if (IsReachable(from)) return copy(from, bytes, to);
    constexpr size_t kPiece = size_t{4} << 20;
    const auto at = [](auto* values, size_t offset) { return values + offset / sizeof(float); };
    for (size_t done = 0; done < bytes; done += kPiece) {
      const size_t piece = std::min(kPiece, bytes - done);
      CopyOnThreads(at(from, done), piece, threads, at(pinned, done));
      copy(at(pinned, done), piece, at(to, done));
    }
  }

  static void CopyOnThreads(const float* from, size_t bytes, int threads, float* to) {
    constexpr size_t kTask = size_t{256} << 10;
    const auto* const source = reinterpret_cast<const uint8_t*>(from);
    auto* const target = reinterpret_cast<uint8_t*>(to);
    ThreadPool::Shared().Run(threads, (bytes + kTask - 1) / kTask, [&](int64_t task) {
      const size_t begin = task * kTask;
      std::memcpy(target + begin, source + begin, std::min(kTask, bytes - begin));
    });
  }

  void StartStages(Workspace* workspace) const {
    workspace->recordings.Run(workspace->tensors.images, [&] {
      for (size_t s = 0; s < stages_.size(); ++s) {
        stages_[s]->Start(workspace->tensors, workspace->lists[s], workspace->rooms[s]);
      }
    });
  }

  void TimeStages(const Workspace& workspace, std::vector<double>* seconds) const {
    std::vector<Event> events(stages_.size() + 1);
    events[0].Record();
    for (size_t s = 0; s < stages_.size(); ++s) {
      stages_[s]->Start(workspace.tensors, workspace.lists[s], workspace.rooms[s]);
      events[s + 1].Record();
    }
    HWGQ_CUDA_CHECK(cudaStreamSynchronize(cudaStreamPerThread));
    for (size_t s = 0; s < stages_.size(); ++s) (*seconds)[s] += events[s + 1].SecondsSince(events[s]);
  }

  const Plan& plan_;
  const int gpu_;
  /// For each tensor, whether it lies in Caffe's order.
  std::vector<bool> by_channels_;
  std::vector<std::unique_ptr<Stage>> stages_;
  int max_images_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Workspace>> free_;
};

}  // namespace

}  // namespace gpu
}  // namespace lowbit
}  // namespace caffe

extern "C" __attribute__((visibility("default"))) caffe::lowbit::GpuEngine* hwgq_make_gpu_engine(
    const caffe::lowbit::Plan* plan, int gpu) {
  return new caffe::lowbit::gpu::Engine(*plan, gpu);
}
