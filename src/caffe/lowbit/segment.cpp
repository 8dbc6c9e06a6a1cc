#include "caffe/lowbit/segment.hpp"

#include <algorithm>
#include <chrono>

#include "caffe/lowbit/plan_check.hpp"

namespace caffe {
namespace lowbit {

namespace {

// Weights of a size that a core's cache does not keep from one image to the next.
constexpr size_t kSharedWeightBytes = size_t{512} << 10;

bool HasWeightsToShare(const Plan& plan, const StageInfo& stage) {
  if (stage.kind != StageKind::kConvolution && stage.kind != StageKind::kBinaryConvolution) return false;
  const ConvolutionInfo info = ReadConvolution(plan, stage);
  return info.result.height * info.result.width == 1 || WeightBytes(stage) > kSharedWeightBytes;
}

}  // namespace

size_t WeightBytes(const StageInfo& convolution) {
  const ArrayView& weights = convolution.arrays[0];
  return weights.count * (weights.type == ArrayType::kFloat ? sizeof(float) : 1);
}

size_t TensorBytes(const TensorInfo& tensor, int images) {
  return static_cast<size_t>(tensor.elements()) * images *
         (tensor.kind == TensorKind::kReal ? sizeof(float) : 1);
}

StageList::StageList(const Plan& plan) {
  for (const StageInfo& stage : plan.stages) stages.push_back(MakeStage(plan, stage));
  pairs.resize(stages.size());
  for (size_t s = 0; s + 1 < stages.size(); ++s) {
    pairs[s] = BandPair::Make(plan, static_cast<int>(s), *stages[s], *stages[s + 1]);
  }
}

int Segment::TailOf(const Plan& plan) {
  const auto tail = std::find_if(plan.stages.begin(), plan.stages.end(), [&](const StageInfo& stage) {
    return stage.kind == StageKind::kCaffeLayer || HasWeightsToShare(plan, stage);
  });
  return static_cast<int>(tail - plan.stages.begin());
}

Segment::Segment(const Plan& plan, const StageList& list, int begin, int end, bool is_head)
    : plan_(plan), list_(list), begin_(begin), end_(end), owns_(plan.tensors.size(), is_head) {
  const int other_begin = is_head ? end : begin;
  const auto use = [&](int tensor) {
    if (tensor >= 0) owns_[tensor] = !is_head;
  };
  for (int s = other_begin; s < static_cast<int>(plan.stages.size()); ++s) {
    for (const int input : plan.stages[s].inputs) use(input);
    for (const StepInfo& step : plan.stages[s].steps) use(step.tensor);
  }
  for (const BlobInfo& output : plan.outputs) use(output.tensor);
}

std::vector<Lifetime> Segment::Lifetimes(int images) const {
  std::vector<Lifetime> lifetimes(plan_.tensors.size(), {0, end_, -1});
  // A pair's stages run at the same time.
  const auto first_of = [&](int stage) {
    return stage > begin_ && list_.pairs[stage - 1] ? stage - 1 : stage;
  };
  const auto last_of = [&](int stage) { return stage < end_ && list_.pairs[stage] ? stage + 1 : stage; };
  const auto use = [&](int tensor, int stage) {
    if (tensor < 0 || !Owns(tensor)) return;
    lifetimes[tensor].bytes = TensorBytes(plan_.tensors[tensor], images);
    lifetimes[tensor].first = std::min(lifetimes[tensor].first, first_of(stage));
    lifetimes[tensor].last = std::max(lifetimes[tensor].last, last_of(stage));
  };
  for (const BlobInfo& input : plan_.inputs) use(input.tensor, begin_);
  for (const BlobInfo& output : plan_.outputs) use(output.tensor, end_);
  // What comes from an earlier segment is there before the first stage.
  for (int s = 0; s < end_; ++s) {
    for (const int input : plan_.stages[s].inputs) use(input, std::max(s, begin_));
    for (const StepInfo& step : plan_.stages[s].steps) use(step.tensor, std::max(s, begin_));
  }
  for (int s = begin_; s < end_; ++s) {
    if (list_.pairs[s] && Owns(list_.pairs[s]->tensor())) {
      lifetimes[list_.pairs[s]->tensor()].bytes = list_.pairs[s]->BandBytes();
    }
    lifetimes.push_back({list_.stages[s]->RoomBytes(images), first_of(s), last_of(s)});
  }
  return lifetimes;
}

std::unique_ptr<Workspace> Segment::NewWorkspace(int images) const {
  const std::vector<Lifetime> lifetimes = Lifetimes(images);
  const MemoryPlan memory = PlanMemory(lifetimes);
  auto workspace = std::make_unique<Workspace>();
  workspace->images = images;
  workspace->memory = AlignedBytes(memory.bytes + kAlignment);
  const size_t tensors = plan_.tensors.size();
  for (size_t i = 0; i < lifetimes.size(); ++i) {
    uint8_t* const at = workspace->memory.data() + memory.offsets[i];
    if (i >= tensors) {
      workspace->rooms.push_back(at);
    } else {
      workspace->tensors.at.push_back(owns_[i] ? at : nullptr);
    }
  }
  return workspace;
}

void Segment::Run(Workspace* workspace, int threads, double* seconds) const {
  for (int s = begin_; s < end_; ++s) {
    uint8_t* const* const rooms = &workspace->rooms[s - begin_];
    if (list_.pairs[s]) {
      list_.pairs[s]->Run(&workspace->tensors, rooms, threads, seconds ? seconds + s : nullptr);
      ++s;
      continue;
    }
    const auto start = std::chrono::steady_clock::now();
    list_.stages[s]->Run(workspace->tensors, rooms[0], threads);
    if (!seconds) continue;
    seconds[s] += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
}

}  // namespace lowbit
}  // namespace caffe
