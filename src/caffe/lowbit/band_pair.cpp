#include "caffe/lowbit/band_pair.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace caffe {
namespace lowbit {

namespace {

// A band, which leaves room for weights and input in the second cache; smaller results are there anyway.
constexpr int64_t kBandBytes = int64_t{512} << 10;

bool Writes(const StepInfo& step) {
  return step.kind == StepKind::kStore || step.kind == StepKind::kQuantize ||
         step.kind == StepKind::kThreshold;
}

int64_t RowBytes(const TensorInfo& tensor) {
  const int64_t elements = int64_t{tensor.width} * tensor.channels;
  return tensor.kind == TensorKind::kReal ? elements * static_cast<int64_t>(sizeof(float)) : elements;
}

// How many times the plan names a tensor.
int Uses(const Plan& plan, int tensor) {
  int uses = 0;
  for (const BlobInfo& blob : plan.inputs) uses += blob.tensor == tensor;
  for (const BlobInfo& blob : plan.outputs) uses += blob.tensor == tensor;
  for (const StageInfo& stage : plan.stages) {
    for (const int input : stage.inputs) uses += input == tensor;
    for (const StepInfo& step : stage.steps) uses += step.tensor == tensor;
  }
  return uses;
}

// Adds the time since it was asked last.
class Stopwatch {
 public:
  explicit Stopwatch(double* seconds) : seconds_(seconds), last_(Clock::now()) {}

  void AddTo(int index) {
    const Clock::time_point now = Clock::now();
    if (seconds_) seconds_[index] += std::chrono::duration<double>(now - last_).count();
    last_ = now;
  }

 private:
  using Clock = std::chrono::steady_clock;

  double* const seconds_;
  Clock::time_point last_;
};

}  // namespace

std::unique_ptr<BandPair> BandPair::Make(const Plan& plan, int first, const Stage& convolution,
                                         const Stage& pooling) {
  const StageInfo &before = plan.stages[first], &after = plan.stages[first + 1];
  const auto* const convolution_rows = dynamic_cast<const RowStage*>(&convolution);
  const auto* const pooling_rows = dynamic_cast<const RowStage*>(&pooling);
  if (before.kind != StageKind::kConvolution || after.kind != StageKind::kPooling || !convolution_rows ||
      !pooling_rows) {
    return nullptr;
  }
  const int tensor = after.inputs[0];
  const TensorInfo& info = plan.tensors[tensor];
  // The convolution writes it, the pooling reads it, and that is all.
  const bool writes_it = std::any_of(before.steps.begin(), before.steps.end(),
                                     [&](const StepInfo& step) { return step.tensor == tensor; });
  if (!writes_it || Uses(plan, tensor) != 2 ||
      std::count_if(before.steps.begin(), before.steps.end(), Writes) != 1 ||
      info.height * RowBytes(info) < 2 * kBandBytes) {
    return nullptr;
  }
  return std::unique_ptr<BandPair>(
      new BandPair(plan, tensor, ReadPooling(plan, after), *convolution_rows, *pooling_rows));
}

BandPair::BandPair(const Plan& plan, int tensor, const PoolingInfo& info, const RowStage& convolution,
                   const RowStage& pooling)
    : tensor_(tensor),
      info_(info),
      convolution_(convolution),
      pooling_(pooling),
      height_(plan.tensors[tensor].height),
      row_bytes_(RowBytes(plan.tensors[tensor])) {
  const Geometry& g = info_.geometry;
  // Where both of its ends have to be moved.
  const int more = 2 * (convolution.RowsTogether() - 1);
  const int64_t rows = kBandBytes / static_cast<int64_t>(row_bytes_);
  result_rows_ = static_cast<int>(std::max<int64_t>((rows - more - g.kernel_h) / g.stride_h + 1, 1));
  most_rows_ = static_cast<int>(
      std::min<int64_t>(int64_t{result_rows_ - 1} * g.stride_h + g.kernel_h + more, height_));
}

void BandPair::Run(Tensors* tensors, uint8_t* const* rooms, int threads, double* seconds) const {
  uint8_t* const band = tensors->at[tensor_];
  Stopwatch watch(seconds);
  convolution_.Prepare(*tensors, rooms[0], threads);
  watch.AddTo(0);
  for (int image = 0; image < tensors->images; ++image) {
    RunImage(tensors, band, image, rooms, threads, seconds);
  }
  tensors->at[tensor_] = band;
}

void BandPair::RunImage(Tensors* tensors, uint8_t* band, int image, uint8_t* const* rooms, int threads,
                        double* seconds) const {
  const Geometry& g = info_.geometry;
  const int height = info_.result.height, together = convolution_.RowsTogether();
  Stopwatch watch(seconds);
  // The input's rows [held, computed) are there, the first of them at the band's beginning.
  int held = 0, computed = 0;
  for (int begin = 0; begin < height; begin += result_rows_) {
    const int end = std::min(begin + result_rows_, height);
    const int first = std::max(begin * g.stride_h - g.pad_h, 0) / together * together;
    const int needed = (end - 1) * g.stride_h - g.pad_h + g.kernel_h;
    const int last = std::min((needed + together - 1) / together * together, height_);
    if (first < computed)
      std::memmove(band, band + (first - held) * row_bytes_, (computed - first) * row_bytes_);
    held = first;
    // Rows are numbered through all images, and only these have a place.
    const uint64_t offset = (static_cast<uint64_t>(image) * height_ + held) * row_bytes_;
    tensors->at[tensor_] = reinterpret_cast<uint8_t*>(reinterpret_cast<uintptr_t>(band) - offset);
    const int64_t first_of_image = int64_t{image} * height_, result = int64_t{image} * height;
    const int from = std::max(first, computed);
    if (from < last) {
      convolution_.RunRows(*tensors, rooms[0], first_of_image + from, first_of_image + last, threads);
    }
    computed = std::max(computed, last);
    watch.AddTo(0);
    pooling_.RunRows(*tensors, rooms[1], result + begin, result + end, threads);
    watch.AddTo(1);
  }
}

}  // namespace lowbit
}  // namespace caffe
