#include <algorithm>
#include <cstring>
#include <mutex>
#include <string>

#include "caffe/lowbit/cuda/stage.hpp"
#include "caffe/lowbit/gpu_engine.hpp"
#include "caffe/lowbit/memory_plan.hpp"
#include "caffe/lowbit/plan_check.hpp"

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
  /// Inputs and outputs in Caffe's order, on the GPU and on the host.
  std::vector<float*> inputs, outputs;
  PinnedBytes pinned;
  std::vector<float*> pinned_inputs, pinned_outputs;
  DeviceBytes steps;
  std::vector<StepList> lists;
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
    for (const StageInfo& stage : plan.stages) stages_.push_back(MakeStage(plan, stage));
    const size_t bytes = PlanMemory(Lifetimes(1)).bytes;
    if (bytes > kMaxImageBytes) {
      throw PlanError("an image takes " + std::to_string(bytes >> 20) +
                      " MiB of the GPU's memory, and at most " + std::to_string(kMaxImageBytes >> 20) +
                      " are taken: let the net have a smaller input");
    }
    max_images_ =
        static_cast<int>(std::clamp<size_t>(kMaxPassBytes / std::max<size_t>(bytes, 1), 1, kMaxImages));
  }

  void Forward(int64_t images, const float* const* inputs, float* const* outputs,
               std::vector<double>* seconds) const override {
    const DeviceScope scope(gpu_);
    const int most = static_cast<int>(std::min<int64_t>(images, max_images_));
    std::unique_ptr<Workspace> workspace = Take(most);
    for (int64_t first = 0; first < images; first += most) {
      workspace->tensors.images = static_cast<int>(std::min<int64_t>(most, images - first));
      Pass(*workspace, first, inputs, outputs, seconds);
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
    for (const BlobInfo& input : plan_.inputs) {
      lifetimes.push_back({Aligned(images * ImageBytes(plan_.tensors[input.tensor])), 0, 0});
    }
    for (const BlobInfo& output : plan_.outputs) {
      lifetimes.push_back({Aligned(images * ImageBytes(plan_.tensors[output.tensor])), end, end});
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
    for (size_t i = 0; i < plan_.inputs.size(); ++i) {
      workspace->inputs.push_back(reinterpret_cast<float*>(next()));
    }
    for (size_t i = 0; i < plan_.outputs.size(); ++i) {
      workspace->outputs.push_back(reinterpret_cast<float*>(next()));
    }
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

  void Pass(const Workspace& workspace, int64_t first, const float* const* inputs, float* const* outputs,
            std::vector<double>* seconds) const {
    const int images = workspace.tensors.images;
    for (size_t i = 0; i < plan_.inputs.size(); ++i) {
      const TensorInfo& tensor = plan_.tensors[plan_.inputs[i].tensor];
      const size_t bytes = images * ImageBytes(tensor);
      const float* from = inputs[i] + first * tensor.elements();
      if (!IsReachable(from)) {
        std::memcpy(workspace.pinned_inputs[i], from, bytes);
        from = workspace.pinned_inputs[i];
      }
      HWGQ_CUDA_CHECK(
          cudaMemcpyAsync(workspace.inputs[i], from, bytes, cudaMemcpyDefault, cudaStreamPerThread));
      StartFromCaffe(tensor, workspace.inputs[i], images, workspace.tensors.real(plan_.inputs[i].tensor));
    }
    if (seconds) {
      TimeStages(workspace, seconds);
    } else {
      StartStages(workspace);
    }
    for (size_t i = 0; i < plan_.outputs.size(); ++i) {
      const int index = plan_.outputs[i].tensor;
      const TensorInfo& tensor = plan_.tensors[index];
      float* to = outputs[i] + first * tensor.elements();
      if (!IsReachable(to)) to = workspace.pinned_outputs[i];
      StartToCaffe(tensor, workspace.tensors.real(index), images, workspace.outputs[i]);
      HWGQ_CUDA_CHECK(cudaMemcpyAsync(to, workspace.outputs[i], images * ImageBytes(tensor),
                                      cudaMemcpyDefault, cudaStreamPerThread));
    }
    HWGQ_CUDA_CHECK(cudaStreamSynchronize(cudaStreamPerThread));
    for (size_t i = 0; i < plan_.outputs.size(); ++i) {
      const TensorInfo& tensor = plan_.tensors[plan_.outputs[i].tensor];
      float* const to = outputs[i] + first * tensor.elements();
      if (!IsReachable(to)) std::memcpy(to, workspace.pinned_outputs[i], images * ImageBytes(tensor));
    }
  }

  void StartStages(const Workspace& workspace) const {
    for (size_t s = 0; s < stages_.size(); ++s) {
      stages_[s]->Start(workspace.tensors, workspace.lists[s], workspace.rooms[s]);
    }
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
