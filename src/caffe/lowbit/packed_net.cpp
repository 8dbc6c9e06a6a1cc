#include "caffe/lowbit/packed_net.hpp"

#include <algorithm>
#include <chrono>
#include <mutex>

#include "caffe/lowbit/band_pair.hpp"
#include "caffe/lowbit/caffe_order.hpp"
#include "caffe/lowbit/gpu_engine.hpp"
#include "caffe/lowbit/memory_plan.hpp"
#include "caffe/lowbit/model_file.hpp"
#include "caffe/lowbit/plan.hpp"
#include "caffe/lowbit/plan_check.hpp"
#include "caffe/lowbit/stage.hpp"
#include "caffe/lowbit/thread_pool.hpp"

namespace caffe {
namespace lowbit {

namespace {

// Images that pass through the net together: enough that weights are read once for many, and so few that what
// they take stays in the caches.
constexpr int kMaxImages = 16;
constexpr size_t kMaxPassBytes = size_t{32} << 20;
// So much memory not even one image takes.
constexpr size_t kMaxImageBytes = size_t{1} << 32;

/// What a pass needs: memory for the tensors of up to kMaxImages images.
struct Workspace {
  int images = 0;
  AlignedBytes memory;
  Tensors tensors;
  /// For each stage.
  std::vector<uint8_t*> rooms;
};

const char* KindName(StageKind kind) {
  switch (kind) {
    case StageKind::kConvolution:
      return "convolution";
    case StageKind::kBinaryConvolution:
      return "binary convolution";
    case StageKind::kPooling:
      return "pooling";
    case StageKind::kMap:
      return "map";
    case StageKind::kSoftmax:
      return "softmax";
    case StageKind::kLrn:
      return "local response normalization";
    case StageKind::kCaffeLayer:
      return "Caffe layer";
  }
  return "";
}

size_t TensorBytes(const TensorInfo& tensor, int images) {
  return static_cast<size_t>(tensor.elements()) * images *
         (tensor.kind == TensorKind::kReal ? sizeof(float) : 1);
}

}  // namespace

class PackedNet::Engine {
 public:
  Engine(std::unique_ptr<ModelFile> file, int threads, int gpu)
      : file_(std::move(file)),
        threads_(threads > 0 ? std::min(threads, ThreadPool::kMaxThreads) : ThreadPool::DefaultThreads()),
        gpu_(gpu),
        plan_(ReadPlan(file_->data(), file_->size())) {
    for (const BlobInfo& blob : plan_.inputs) inputs_.push_back(Interface(blob));
    for (const BlobInfo& blob : plan_.outputs) outputs_.push_back(Interface(blob));
    if (gpu != kNoGpu) {
      gpu_engine_ = MakeGpuEngine(plan_, gpu);
      return;
    }
    for (const StageInfo& stage : plan_.stages) stages_.push_back(MakeStage(plan_, stage));
    pairs_.resize(stages_.size());
    for (size_t s = 0; s + 1 < stages_.size(); ++s) {
      pairs_[s] = BandPair::Make(plan_, static_cast<int>(s), *stages_[s], *stages_[s + 1]);
    }
    const size_t bytes = PlanMemory(Lifetimes(1)).bytes;
    if (bytes > kMaxImageBytes) {
      throw PlanError("an image takes " + std::to_string(bytes >> 20) + " MiB of memory, and at most " +
                      std::to_string(kMaxImageBytes >> 20) + " are taken: let the net have a smaller input");
    }
    max_images_ =
        static_cast<int>(std::clamp<size_t>(kMaxPassBytes / std::max<size_t>(bytes, 1), 1, kMaxImages));
  }

  const std::string& name() const { return plan_.name; }
  const std::vector<Blob>& inputs() const { return inputs_; }
  const std::vector<Blob>& outputs() const { return outputs_; }
  int threads() const { return threads_; }
  int gpu() const { return gpu_; }

  void CheckCounts(size_t inputs, size_t outputs) const {
    if (inputs != inputs_.size() || outputs != outputs_.size()) {
      throw PlanError("the net has " + std::to_string(inputs_.size()) + " inputs and " +
                      std::to_string(outputs_.size()) + " outputs; a pass needs all of them");
    }
  }

  void Forward(int64_t images, const float* const* inputs, float* const* outputs, int threads,
               std::vector<double>* seconds) {
    if (images < 1) throw PlanError("a batch needs at least one image");
    const int most_threads = threads > 0 ? std::min(threads, ThreadPool::kMaxThreads) : threads_;
    if (gpu_engine_) return gpu_engine_->Forward(images, inputs, outputs, most_threads, seconds);
    const int most = static_cast<int>(std::min<int64_t>(images, max_images_));
    std::unique_ptr<Workspace> workspace = Take(most);
    for (int64_t first = 0; first < images; first += most) {
      workspace->tensors.images = static_cast<int>(std::min<int64_t>(most, images - first));
      Pass(workspace.get(), first, inputs, outputs, most_threads, seconds);
    }
    GiveBack(std::move(workspace));
  }

  std::vector<StageProfile> Describe(int64_t images, const std::vector<double>& seconds) const {
    std::vector<StageProfile> profile;
    for (size_t s = 0; s < plan_.stages.size(); ++s) {
      const StageInfo& stage = plan_.stages[s];
      const char* const kernel = gpu_engine_ ? gpu_engine_->Kernel(s) : stages_[s]->Kernel();
      StageProfile entry = {stage.name, KindName(stage.kind), kernel, seconds[s], 0, 0};
      if (stage.kind == StageKind::kConvolution || stage.kind == StageKind::kBinaryConvolution) {
        const ConvolutionInfo info = ReadConvolution(plan_, stage);
        entry.multiply_adds = images * info.weights * info.outputs * info.result.height * info.result.width;
        entry.bytes += static_cast<int64_t>(stage.arrays[0].count) *
                       (stage.arrays[0].type == ArrayType::kFloat ? sizeof(float) : 1);
      }
      for (const int input : stage.inputs) entry.bytes += TensorBytes(plan_.tensors[input], 1) * images;
      for (const StepInfo& step : stage.steps) {
        if (step.tensor >= 0) entry.bytes += TensorBytes(plan_.tensors[step.tensor], 1) * images;
      }
      profile.push_back(entry);
    }
    return profile;
  }

  size_t stages() const { return plan_.stages.size(); }

 private:
  Blob Interface(const BlobInfo& blob) const {
    return {blob.name, blob.dimensions, plan_.tensors[blob.tensor].elements()};
  }

  // A workspace that no other pass has, for so many images.
  std::unique_ptr<Workspace> Take(int images) {
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

  void GiveBack(std::unique_ptr<Workspace> workspace) {
    std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(std::move(workspace));
  }

  // When each tensor, and then each stage's room, is needed.
  std::vector<Lifetime> Lifetimes(int images) const {
    const int end = static_cast<int>(stages_.size());
    std::vector<Lifetime> lifetimes;
    lifetimes.resize(plan_.tensors.size(), {0, end, -1});
    // A pair's stages run at the same time.
    const auto first_of = [&](int stage) { return stage > 0 && pairs_[stage - 1] ? stage - 1 : stage; };
    const auto last_of = [&](int stage) { return stage < end && pairs_[stage] ? stage + 1 : stage; };
    const auto use = [&](int tensor, int stage) {
      lifetimes[tensor].bytes = TensorBytes(plan_.tensors[tensor], images);
      lifetimes[tensor].first = std::min(lifetimes[tensor].first, first_of(stage));
      lifetimes[tensor].last = std::max(lifetimes[tensor].last, last_of(stage));
    };
    for (const BlobInfo& input : plan_.inputs) use(input.tensor, 0);
    for (const BlobInfo& output : plan_.outputs) use(output.tensor, end);
    for (int s = 0; s < end; ++s) {
      for (const int input : plan_.stages[s].inputs) use(input, s);
      for (const StepInfo& step : plan_.stages[s].steps) {
        if (step.tensor >= 0) use(step.tensor, s);
      }
      lifetimes.push_back({stages_[s]->RoomBytes(images), first_of(s), last_of(s)});
    }
    for (const std::unique_ptr<BandPair>& pair : pairs_) {
      if (pair) lifetimes[pair->tensor()].bytes = pair->BandBytes();
    }
    return lifetimes;
  }

  std::unique_ptr<Workspace> NewWorkspace(int images) const {
    const std::vector<Lifetime> lifetimes = Lifetimes(images);
    const MemoryPlan memory = PlanMemory(lifetimes);
    auto workspace = std::make_unique<Workspace>();
    workspace->images = images;
    workspace->memory = AlignedBytes(memory.bytes + kAlignment);
    for (size_t i = 0; i < lifetimes.size(); ++i) {
      uint8_t* const at = workspace->memory.data() + memory.offsets[i];
      (i < plan_.tensors.size() ? workspace->tensors.at : workspace->rooms).push_back(at);
    }
    return workspace;
  }

  void Pass(Workspace* workspace, int64_t first, const float* const* inputs, float* const* outputs,
            int threads, std::vector<double>* seconds) const {
    Tensors& tensors = workspace->tensors;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const int tensor = plan_.inputs[i].tensor;
      FromCaffe(plan_.tensors[tensor], inputs[i] + first * inputs_[i].elements, tensors.images,
                tensors.real(tensor));
    }
    for (size_t s = 0; s < stages_.size(); ++s) {
      if (pairs_[s]) {
        pairs_[s]->Run(&tensors, &workspace->rooms[s], threads, seconds ? &(*seconds)[s] : nullptr);
        ++s;
        continue;
      }
      const auto start = std::chrono::steady_clock::now();
      stages_[s]->Run(tensors, workspace->rooms[s], threads);
      if (!seconds) continue;
      (*seconds)[s] += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }
    for (size_t i = 0; i < outputs_.size(); ++i) {
      const int tensor = plan_.outputs[i].tensor;
      ToCaffe(plan_.tensors[tensor], tensors.real(tensor), tensors.images,
              outputs[i] + first * outputs_[i].elements);
    }
  }

  /// What the plan's arrays lie in.
  const std::unique_ptr<const ModelFile> file_;
  const int threads_, gpu_;
  const Plan plan_;
  /// Where a GPU computes; then there is nothing of what follows, but the inputs and outputs.
  std::unique_ptr<GpuEngine> gpu_engine_;
  std::vector<std::unique_ptr<Stage>> stages_;
  /// For each stage: of it and the next one, or null.
  std::vector<std::unique_ptr<BandPair>> pairs_;
  std::vector<Blob> inputs_, outputs_;
  int max_images_ = 0;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Workspace>> free_;
};

PackedNet::PackedNet(const std::string& path, int threads, int gpu) {
  try {
    engine_ = std::make_unique<Engine>(std::make_unique<ModelFile>(path), threads, gpu);
  } catch (const PlanError& error) {
    throw PlanError(path + ": " + error.what());
  }
}

PackedNet::PackedNet(const void* model, size_t size, int threads, int gpu)
    : engine_(std::make_unique<Engine>(std::make_unique<ModelFile>(model, size), threads, gpu)) {}

PackedNet::~PackedNet() = default;

const std::string& PackedNet::name() const { return engine_->name(); }

const std::vector<PackedNet::Blob>& PackedNet::inputs() const { return engine_->inputs(); }

const std::vector<PackedNet::Blob>& PackedNet::outputs() const { return engine_->outputs(); }

int PackedNet::threads() const { return engine_->threads(); }

int PackedNet::gpu() const { return engine_->gpu(); }

void PackedNet::Forward(int64_t images, const std::vector<const float*>& inputs,
                        const std::vector<float*>& outputs, int threads) const {
  engine_->CheckCounts(inputs.size(), outputs.size());
  engine_->Forward(images, inputs.data(), outputs.data(), threads, nullptr);
}

void PackedNet::Forward(int64_t images, const float* const* inputs, float* const* outputs,
                        int threads) const {
  engine_->Forward(images, inputs, outputs, threads, nullptr);
}

std::vector<PackedNet::StageProfile> PackedNet::Profile(int64_t images,
                                                        const std::vector<const float*>& inputs,
                                                        const std::vector<float*>& outputs,
                                                        int threads) const {
  std::vector<double> seconds(engine_->stages(), 0);
  engine_->CheckCounts(inputs.size(), outputs.size());
  engine_->Forward(images, inputs.data(), outputs.data(), threads, &seconds);
  return engine_->Describe(images, seconds);
}

}  // namespace lowbit
}  // namespace caffe
