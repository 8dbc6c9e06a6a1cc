#include "caffe/lowbit/packed_net.hpp"

#include <algorithm>
#include <mutex>

#include "caffe/lowbit/caffe_order.hpp"
#include "caffe/lowbit/gpu_engine.hpp"
#include "caffe/lowbit/model_file.hpp"
#include "caffe/lowbit/plan.hpp"
#include "caffe/lowbit/plan_check.hpp"
#include "caffe/lowbit/segment.hpp"
#include "caffe/lowbit/thread_pool.hpp"

namespace caffe {
namespace lowbit {

namespace {

// Images that pass through the net together: enough that weights of the tail are read once for many, and so
// few that what they take stays in the caches.
constexpr int kMaxImages = 16;
constexpr size_t kMaxPassBytes = size_t{32} << 20;
// What images that pass through the head together take, but for one: a part of a core's second cache.
constexpr size_t kHeadBytes = size_t{512} << 10;
// So much memory not even one image takes.
constexpr size_t kMaxImageBytes = size_t{1} << 32;

/// What a pass needs: the tail's memory for the whole batch, and the head's for each thread.
class PassMemory {
 public:
  PassMemory(const Segment& tail, int images) : tail_(tail.NewWorkspace(images)) {}

  int images() const { return tail_->images; }
  Workspace* tail() const { return tail_.get(); }

  /// Before a pass: at least `count` heads for at least so many images each, and none for fewer.
  void Prepare(const Segment& head, int count, int images) {
    idle_.clear();
    heads_.erase(std::remove_if(heads_.begin(), heads_.end(),
                                [&](const auto& workspace) { return workspace->images < images; }),
                 heads_.end());
    while (static_cast<int>(heads_.size()) < count) heads_.push_back(head.NewWorkspace(images));
    for (const std::unique_ptr<Workspace>& workspace : heads_) idle_.push_back(workspace.get());
  }

  /// A head that no other thread has; there must be one.
  Workspace* TakeHead() {
    std::lock_guard<std::mutex> lock(mutex_);
    Workspace* const taken = idle_.back();
    idle_.pop_back();
    return taken;
  }
  void GiveHeadBack(Workspace* head) {
    std::lock_guard<std::mutex> lock(mutex_);
    idle_.push_back(head);
  }

 private:
  const std::unique_ptr<Workspace> tail_;
  std::vector<std::unique_ptr<Workspace>> heads_;
  std::mutex mutex_;
  std::vector<Workspace*> idle_;
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
    stages_ = std::make_unique<StageList>(plan_);
    const int tail = Segment::TailOf(plan_), end = static_cast<int>(plan_.stages.size());
    head_ = std::make_unique<Segment>(plan_, *stages_, 0, tail, true);
    tail_ = std::make_unique<Segment>(plan_, *stages_, tail, end, false);
    const size_t head_bytes = head_->Bytes(1), tail_bytes = tail_->Bytes(1), bytes = head_bytes + tail_bytes;
    if (bytes > kMaxImageBytes) {
      throw PlanError("an image takes " + std::to_string(bytes >> 20) + " MiB of memory, and at most " +
                      std::to_string(kMaxImageBytes >> 20) + " are taken: let the net have a smaller input");
    }
    const auto images_of = [](size_t most, size_t of_one) {
      return static_cast<int>(std::clamp<size_t>(most / std::max<size_t>(of_one, 1), 1, kMaxImages));
    };
    max_images_ = images_of(kMaxPassBytes, tail_bytes);
    head_images_ = images_of(kHeadBytes, head_bytes);
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
    std::unique_ptr<PassMemory> memory = Take(most);
    for (int64_t first = 0; first < images; first += most) {
      memory->tail()->tensors.images = static_cast<int>(std::min<int64_t>(most, images - first));
      Pass(memory.get(), first, inputs, outputs, most_threads, seconds ? seconds->data() : nullptr);
    }
    GiveBack(std::move(memory));
  }

  std::vector<StageProfile> Describe(int64_t images, const std::vector<double>& seconds) const {
    std::vector<StageProfile> profile;
    for (size_t s = 0; s < plan_.stages.size(); ++s) {
      const StageInfo& stage = plan_.stages[s];
      const char* const kernel = gpu_engine_ ? gpu_engine_->Kernel(s) : stages_->stages[s]->Kernel();
      StageProfile entry = {stage.name, KindName(stage.kind), kernel, seconds[s], 0, 0};
      if (stage.kind == StageKind::kConvolution || stage.kind == StageKind::kBinaryConvolution) {
        const ConvolutionInfo info = ReadConvolution(plan_, stage);
        entry.multiply_adds = images * info.weights * info.outputs * info.result.height * info.result.width;
        entry.bytes += static_cast<int64_t>(WeightBytes(stage));
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

  // Memory that no other pass has, for so many images.
  std::unique_ptr<PassMemory> Take(int images) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      for (auto it = free_.rbegin(); it != free_.rend(); ++it) {
        if ((*it)->images() < images) continue;
        std::unique_ptr<PassMemory> found = std::move(*it);
        free_.erase(std::next(it).base());
        return found;
      }
      // One that is too small would never be taken again by a caller of larger batches.
      if (!free_.empty()) free_.pop_back();
    }
    return std::make_unique<PassMemory>(*tail_, images);
  }

  void GiveBack(std::unique_ptr<PassMemory> memory) {
    std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(std::move(memory));
  }

  void Pass(PassMemory* memory, int64_t first, const float* const* inputs, float* const* outputs, int threads,
            double* seconds) const {
    Workspace* const tail = memory->tail();
    const int images = tail->tensors.images;
    // Threads take images of their own as long as there are enough for all; then they share what is left. A
    // stage's time is that of all threads, so that they share each where it is asked for.
    const int apart = threads > 1 && !seconds ? images / threads * threads : 0;
    const int piece = std::min(head_images_, apart > 0 ? apart / threads : images);
    memory->Prepare(*head_, apart > 0 ? threads : 1, piece);
    ThreadPool::Shared().Run(threads, (apart + piece - 1) / piece, [&](int64_t task) {
      const int begin = static_cast<int>(task) * piece;
      PassHead(memory, first, begin, std::min(piece, apart - begin), inputs, 1, nullptr);
    });
    for (int begin = apart; begin < images; begin += piece) {
      PassHead(memory, first, begin, std::min(piece, images - begin), inputs, threads, seconds);
    }
    tail_->Run(tail, threads, seconds);
    for (size_t i = 0; i < outputs_.size(); ++i) {
      const int tensor = plan_.outputs[i].tensor;
      ToCaffe(plan_.tensors[tensor], tail->tensors.real(tensor), images,
              outputs[i] + first * outputs_[i].elements);
    }
  }

  // Images [begin, begin + count) of the pass that starts with image `first`.
  void PassHead(PassMemory* memory, int64_t first, int begin, int count, const float* const* inputs,
                int threads, double* seconds) const {
    Workspace* const head = memory->TakeHead();
    Tensors& tensors = head->tensors;
    tensors.images = count;
    for (size_t t = 0; t < tensors.at.size(); ++t) {
      if (tail_->Owns(static_cast<int>(t))) {
        tensors.at[t] = memory->tail()->tensors.at[t] + TensorBytes(plan_.tensors[t], begin);
      }
    }
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const int tensor = plan_.inputs[i].tensor;
      FromCaffe(plan_.tensors[tensor], inputs[i] + (first + begin) * inputs_[i].elements, count, threads,
                tensors.real(tensor));
    }
    head_->Run(head, threads, seconds);
    memory->GiveHeadBack(head);
  }

  /// What the plan's arrays lie in.
  const std::unique_ptr<const ModelFile> file_;
  const int threads_, gpu_;
  const Plan plan_;
  /// Where a GPU computes; then there is nothing of what follows, but the inputs and outputs.
  std::unique_ptr<GpuEngine> gpu_engine_;
  std::unique_ptr<StageList> stages_;
  std::unique_ptr<Segment> head_, tail_;
  std::vector<Blob> inputs_, outputs_;
  /// Of a pass, and of what a thread takes through the head at a time.
  int max_images_ = 0, head_images_ = 0;
  std::mutex mutex_;
  std::vector<std::unique_ptr<PassMemory>> free_;
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
