#ifndef CAFFE_FUZZ_PACKED_MODEL_INPUT_HPP_
#define CAFFE_FUZZ_PACKED_MODEL_INPUT_HPP_

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "caffe/lowbit/binary_kernel.hpp"
#include "caffe/lowbit/model_file.hpp"
#include "caffe/lowbit/packed_net.hpp"
#include "caffe/lowbit/plan.hpp"
#include "caffe/lowbit/plan_check.hpp"

namespace caffe {
namespace lowbit {

/// Whether a pass over an image takes little memory and time.
inline bool IsSmall(const Plan& plan) {
  constexpr int64_t kMostElements = 1 << 20, kMostOperations = 1 << 23;
  int64_t elements = 0, operations = 0;
  for (const TensorInfo& tensor : plan.tensors) elements += tensor.elements();
  for (const StageInfo& stage : plan.stages) {
    const TensorInfo& input = plan.tensors[stage.inputs[0]];
    operations += input.elements();
    if (stage.kind == StageKind::kConvolution || stage.kind == StageKind::kBinaryConvolution) {
      const ConvolutionInfo info = ReadConvolution(plan, stage);
      const Geometry& g = info.geometry;
      // With padding, also of channels to a kernel's units.
      const int64_t pixels = (input.height + 2 * int64_t{g.pad_h}) * (input.width + 2 * int64_t{g.pad_w});
      elements += pixels * (input.channels + 64 * int64_t{info.groups});
      // Each level may take a pass of its own, and a group's outputs are padded, too.
      const bool binary = stage.kind == StageKind::kBinaryConvolution;
      const int64_t passes = binary ? static_cast<int64_t>(stage.arrays[1].count) : 1;
      operations += passes * info.result.height * info.result.width *
                    (info.outputs + 64 * int64_t{info.groups}) * (info.weights + 64);
    } else if (stage.kind == StageKind::kPooling) {
      const PoolingInfo info = ReadPooling(plan, stage);
      const int64_t window =
          std::min<int64_t>(int64_t{info.geometry.kernel_h} * info.geometry.kernel_w, input.pixels());
      operations += int64_t{info.result.height} * info.result.width * input.channels * window;
    } else if (stage.kind == StageKind::kLrn) {
      const int64_t size = stage.attributes[1];
      operations += input.elements() * std::min<int64_t>(size * size, input.elements());
    }
    for (const StepInfo& step : stage.steps) {
      if (step.tensor < 0) continue;
      operations += plan.tensors[step.tensor].elements() * static_cast<int64_t>(1 + step.parameters.size());
    }
    if (elements > kMostElements || operations > kMostOperations) return false;
  }
  return elements <= kMostElements;
}

/// Loads a packed model and, where it is small, passes an image through it, with a kernel that depends on the
/// bytes.
inline void TryPackedModel(const uint8_t* data, size_t size) {
  std::vector<const char*> kernels = {""};
  for (const BinaryKernel* kernel : BinaryKernels()) {
    if (kernel->available()) kernels.push_back(kernel->name);
  }
  setenv("HWGQ_KERNEL", kernels[size == 0 ? 0 : (data[size - 1] + size / 64) % kernels.size()], 1);
  try {
    const PackedNet net(data, size, 1);
    const ModelFile file(data, size);
    if (IsSmall(ReadPlan(file.data(), file.size()))) {
      std::vector<std::vector<float>> inputs, outputs;
      std::vector<const float*> in;
      std::vector<float*> out;
      uint32_t random = static_cast<uint32_t>(size);
      for (const PackedNet::Blob& blob : net.inputs()) {
        inputs.emplace_back(blob.elements);
        for (float& value : inputs.back()) {
          random = random * 1664525u + 1013904223u;
          value = static_cast<float>(static_cast<int32_t>(random)) / (1 << 29);
        }
      }
      for (const PackedNet::Blob& blob : net.outputs()) outputs.emplace_back(blob.elements);
      for (const std::vector<float>& input : inputs) in.push_back(input.data());
      for (std::vector<float>& output : outputs) out.push_back(output.data());
      net.Forward(1, in, out);
    }
  } catch (const PlanError&) {
    // What a wrong model is to give.
  }
  unsetenv("HWGQ_KERNEL");
}

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_FUZZ_PACKED_MODEL_INPUT_HPP_
