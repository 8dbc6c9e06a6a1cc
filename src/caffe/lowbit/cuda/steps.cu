#include "caffe/lowbit/cuda/steps.hpp"

#include <utility>

namespace caffe {
namespace lowbit {
namespace gpu {

namespace {

// Kernels read arrays of channels four at a time, the last ones too.
constexpr size_t kPadding = 3;

template <typename T>
DeviceBytes UploadArray(const ArrayView& array) {
  const T* const values = array.as<T>();
  return Upload(std::vector<T>(values, values + array.count), kPadding);
}

DeviceBytes UploadThresholds(const ArrayView& array) {
  std::vector<int32_t> thresholds;
  for (size_t i = 0; i < array.count; ++i) thresholds.push_back(IntegerAt(array, i));
  return Upload(thresholds, kPadding);
}

}  // namespace

StageSteps::StageSteps(const Plan& plan, const StageInfo& stage, int channels, int groups,
                       const ArrayView* scales)
    : channels_(channels) {
  if (scales) {
    Step step = {{StepKind::kAffine, 0, 0, 0, nullptr, nullptr, nullptr, 0, false}, -1, 0};
    step.step.a = Keep(UploadArray<float>(*scales));
    step.step.b = Keep(Upload(std::vector<float>(channels), kPadding));
    steps_.push_back(step);
  }
  const bool whole_groups = groups == 1 || channels / groups % 4 == 0;
  for (const StepInfo& info : stage.steps) {
    Step step = {{info.kind, 0, 0, 0, nullptr, nullptr, nullptr, 0, false}, info.tensor, 0};
    const std::vector<float>& k = info.parameters;
    if (!k.empty()) step.step.k0 = k[0];
    if (k.size() > 1) step.step.k1 = k[1];
    switch (info.kind) {
      case StepKind::kAffine:
        step.step.a = Keep(UploadArray<float>(info.arrays[0]));
        step.step.b = Keep(UploadArray<float>(info.arrays[1]));
        break;
      case StepKind::kThreshold:
        step.step.count = static_cast<int>(info.arrays[0].count / channels);
        step.step.a = Keep(UploadThresholds(info.arrays[0]));
        break;
      case StepKind::kQuantize:
        step.step.count = static_cast<int>(k.size());
        step.step.a = Keep(Upload(k));
        break;
      case StepKind::kLevels:
        step.step.count = static_cast<int>(k.size() / 2);
        step.step.a = Keep(Upload(k));
        step.step.b = static_cast<const float*>(step.step.a) + step.step.count;
        break;
      default:
        break;
    }
    if (info.tensor >= 0) {
      const TensorInfo& tensor = plan.tensors[info.tensor];
      step.step.stride = static_cast<int>(PixelStride(tensor));
      step.step.aligned = whole_groups && step.step.stride % 4 == 0 && info.channel % 4 == 0;
      step.offset_bytes =
          info.channel * (tensor.kind == TensorKind::kReal ? static_cast<int64_t>(sizeof(float)) : 1);
    }
    steps_.push_back(step);
  }
}

const void* StageSteps::Keep(DeviceBytes bytes) {
  arrays_.push_back(std::move(bytes));
  return arrays_.back().data();
}

std::vector<DeviceStep> StageSteps::At(const Tensors& tensors) const {
  std::vector<DeviceStep> steps;
  for (const Step& step : steps_) {
    steps.push_back(step.step);
    if (step.tensor >= 0) steps.back().tensor = tensors.at[step.tensor] + step.offset_bytes;
  }
  return steps;
}

}  // namespace gpu
}  // namespace lowbit
}  // namespace caffe
