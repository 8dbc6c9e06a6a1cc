#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "caffe/lowbit/binary_kernel.hpp"
#include "caffe/lowbit/scratch.hpp"
#include "caffe/lowbit/stage.hpp"
#include "caffe/test/emulated_kernels.hpp"
#include "caffe/test/packed_net_runs.hpp"

// Only of libhwgq and GoogleTest, so that scripts/test_neon.sh can build it for another processor.

namespace caffe {
namespace lowbit {

namespace {

// The tensors of a plan, with values that a stage may get.
class RandomTensors {
 public:
  RandomTensors(const Plan& plan, const StageInfo& stage, int images, unsigned seed) : images_(images) {
    std::mt19937 random(seed);
    const unsigned levels = static_cast<unsigned>(stage.arrays[1].count);
    for (const TensorInfo& tensor : plan.tensors) {
      const size_t elements = tensor.elements() * images;
      std::vector<uint8_t> bytes(tensor.kind == TensorKind::kReal ? elements * sizeof(float) : elements);
      for (size_t i = 0; i < elements; ++i) {
        if (tensor.kind == TensorKind::kCodes) {
          bytes[i] = static_cast<uint8_t>(random() % levels);
        } else {
          const float value = static_cast<float>(static_cast<int>(random() % 65) - 32) / 8;
          std::memcpy(bytes.data() + i * sizeof(value), &value, sizeof(value));
        }
      }
      tensors_.push_back(bytes);
    }
  }

  // What is in all of them after the stage, whose room is full of other bytes before.
  std::vector<std::vector<uint8_t>> Run(const Stage& stage, int threads) const {
    std::vector<std::vector<uint8_t>> memory = tensors_;
    Tensors tensors = {{}, images_};
    for (std::vector<uint8_t>& bytes : memory) tensors.at.push_back(bytes.data());
    const AlignedBytes room(stage.RoomBytes(images_));
    std::memset(room.data(), 0xeb, room.size());
    stage.Run(tensors, room.data(), threads);
    return memory;
  }

 private:
  const int images_;
  std::vector<std::vector<uint8_t>> tensors_;
};

void CheckStage(const Plan& plan, const StageInfo& stage, int images, unsigned seed) {
  const RandomTensors tensors(plan, stage, images, seed);
  const auto run = [&](const BinaryKernel& kernel, int threads) {
    return tensors.Run(*MakeBinaryConvolution(plan, stage, kernel, threads), threads);
  };
  const std::vector<std::vector<uint8_t>> expected = run(*BinaryKernels()[0], 1);
  for (const BinaryKernel* kernel : BinaryKernelsToTest()) {
    const int threads = 1 + static_cast<int>(seed % 3);
    EXPECT_EQ(run(*kernel, threads), expected) << kernel->name << ", " << stage.name;
  }
}

}  // namespace

// With every kernel, those of processors that are not at hand too, bit for bit.
TEST(BinaryConvolutionTest, EveryKernelGivesTheSame) {
  int stages = 0;
  for (unsigned seed = 3000; seed < 3200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const RandomCase random(seed);
    const Plan& plan = random.model.plan();
    for (const StageInfo& stage : plan.stages) {
      if (stage.kind != StageKind::kBinaryConvolution) continue;
      CheckStage(plan, stage, 1 + static_cast<int>(seed % 3), seed);
      ++stages;
    }
    if (HasFailure()) return;
  }
  EXPECT_GT(stages, 100);
}

// Large images, whose parts begin and end within rows; and windows whose sums 16 bits just hold, or do not.
TEST(BinaryConvolutionTest, SumsLargeImages) {
  for (const int channels : {16, 1213, 1214, 1820, 1821}) {
    for (const int size : channels == 16 ? std::vector<int>{4, 17, 30} : std::vector<int>{3}) {
      for (const std::vector<int32_t>& levels : {std::vector<int32_t>{0, 1, 2, 3}, {-1, 1}}) {
        const unsigned seed = channels + size;
        SCOPED_TRACE(std::to_string(channels) + " channels, height " + std::to_string(size) + ", " +
                     std::to_string(levels.size()) + " levels");
        PlanMaker maker;
        const int codes = maker.Tensor(TensorKind::kCodes, channels, size, size + 1);
        const int result = maker.Tensor(TensorKind::kReal, 70, size, size + 1);
        std::mt19937 random(seed);
        std::vector<uint8_t> bits((channels * 9 + 7) / 8 * 70);
        for (uint8_t& byte : bits) byte = static_cast<uint8_t>(random());
        maker
            .Stage(StageKind::kBinaryConvolution, {codes}, {70, 3, 3, 1, 1, 1, 1, 1, 1, 1},
                   {maker.Bytes(bits), maker.Ints(levels)})
            .steps = {MakeStep(StepKind::kStore, result)};
        CheckStage(maker.plan, maker.plan.stages[0], 2, seed);
      }
    }
  }
}

}  // namespace lowbit
}  // namespace caffe
