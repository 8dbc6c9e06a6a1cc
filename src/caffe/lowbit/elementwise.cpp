// Stages whose result is as large as their input: maps, softmax, local response normalization.
#include <algorithm>
#include <cmath>

#include "caffe/lowbit/normalized.hpp"
#include "caffe/lowbit/result_parts.hpp"
#include "caffe/lowbit/scratch.hpp"
#include "caffe/lowbit/stage.hpp"

namespace caffe {
namespace lowbit {

namespace {

// Computes the values of a pixel at a time, and runs the steps on them.
class PixelStage : public Stage {
 public:
  PixelStage(const Plan& plan, const StageInfo& stage)
      : input_(plan.tensors[stage.inputs[0]]), tensor_(stage.inputs[0]), steps_(plan, stage) {}

  size_t RoomBytes(int) const override { return 0; }

  const char* Kernel() const override { return "plain"; }

  void Run(const Tensors& tensors, uint8_t*, int threads) const override {
    RunParts(tensors.images * input_.pixels(), 1, threads, [&](int64_t first, int count, int, int) {
      for (int64_t pixel = first; pixel < first + count; ++pixel) {
        const Part part = {pixel, 1, 0, input_.channels};
        if (input_.kind == TensorKind::kCodes) {
          steps_.Store(tensors, part, {tensors.codes(tensor_) + pixel * input_.channels, input_.channels});
          continue;
        }
        float* values = reinterpret_cast<float*>(ThreadScratch(sizeof(float) * input_.channels));
        Compute(tensors.real(tensor_), pixel, values);
        steps_.Run(tensors, part, {values, input_.channels});
      }
    });
  }

 protected:
  virtual void Compute(const float* input, int64_t pixel, float* values) const = 0;

  const TensorInfo input_;

 private:
  const int tensor_;
  const Steps steps_;
};

class Map : public PixelStage {
 public:
  using PixelStage::PixelStage;

 protected:
  void Compute(const float* input, int64_t pixel, float* values) const override {
    std::copy_n(input + pixel * input_.channels, input_.channels, values);
  }
};

class Softmax : public PixelStage {
 public:
  using PixelStage::PixelStage;

 protected:
  void Compute(const float* input, int64_t pixel, float* values) const override {
    const float* x = input + pixel * input_.channels;
    const float largest = *std::max_element(x, x + input_.channels);
    float sum = 0;
    for (int c = 0; c < input_.channels; ++c) sum += values[c] = std::exp(x[c] - largest);
    for (int c = 0; c < input_.channels; ++c) values[c] /= sum;
  }
};

// Across channels with the mean of the squares over `size` channels, within a channel over `size` x `size`
// pixels; outside are zeros.
class Lrn : public PixelStage {
 public:
  Lrn(const Plan& plan, const StageInfo& stage)
      : PixelStage(plan, stage),
        within_(stage.attributes[0] == 1),
        radius_(stage.attributes[1] / 2),
        normalize_(MakeNormalization(stage.arrays[0].as<float>(), within_, stage.attributes[1])) {}

 protected:
  void Compute(const float* input, int64_t pixel, float* values) const override {
    const float* x = input + pixel * input_.channels;
    if (within_) {
      SumSquaresWithin(input, pixel, values);
    } else {
      SumSquaresAcross(x, values);
    }
    for (int c = 0; c < input_.channels; ++c) values[c] = normalize_(x[c], values[c]);
  }

 private:
  void SumSquaresAcross(const float* x, float* sums) const {
    for (int c = 0; c < input_.channels; ++c) {
      sums[c] = 0;
      const int end = std::min(c + radius_ + 1, input_.channels);
      for (int i = std::max(c - radius_, 0); i < end; ++i) sums[c] += x[i] * x[i];
    }
  }

  void SumSquaresWithin(const float* input, int64_t pixel, float* sums) const {
    const int64_t image = pixel / input_.pixels(), in_image = pixel % input_.pixels();
    const int row = static_cast<int>(in_image / input_.width),
              column = static_cast<int>(in_image % input_.width);
    std::fill_n(sums, input_.channels, 0.f);
    for (int y = std::max(row - radius_, 0); y < std::min(row + radius_ + 1, input_.height); ++y) {
      for (int x = std::max(column - radius_, 0); x < std::min(column + radius_ + 1, input_.width); ++x) {
        const float* near =
            input + (image * input_.pixels() + int64_t{y} * input_.width + x) * input_.channels;
        for (int c = 0; c < input_.channels; ++c) sums[c] += near[c] * near[c];
      }
    }
  }

  const bool within_;
  const int radius_;
  const Normalization normalize_;
};

}  // namespace

std::unique_ptr<Stage> MakeElementwise(const Plan& plan, const StageInfo& stage) {
  switch (stage.kind) {
    case StageKind::kSoftmax:
      return std::make_unique<Softmax>(plan, stage);
    case StageKind::kLrn:
      return std::make_unique<Lrn>(plan, stage);
    default:
      return std::make_unique<Map>(plan, stage);
  }
}

std::unique_ptr<Stage> MakeStage(const Plan& plan, const StageInfo& stage) {
  switch (stage.kind) {
    case StageKind::kConvolution:
      return MakeFloatConvolution(plan, stage);
    case StageKind::kBinaryConvolution:
      return MakeBinaryConvolution(plan, stage);
    case StageKind::kPooling:
      return MakePooling(plan, stage);
    case StageKind::kCaffeLayer:
      return MakeForeignStage(plan, stage);
    default:
      return MakeElementwise(plan, stage);
  }
}

}  // namespace lowbit
}  // namespace caffe
