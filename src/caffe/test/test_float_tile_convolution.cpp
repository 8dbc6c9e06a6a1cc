#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "caffe/lowbit/float_kernel.hpp"
#include "caffe/lowbit/scratch.hpp"
#include "caffe/lowbit/stage.hpp"
#include "caffe/test/emulated_kernels.hpp"
#include "caffe/test/packed_interpreter.hpp"
#include "caffe/test/packed_model_writer.hpp"

// The stage with imitated tiles. Only of libhwgq and GoogleTest.

namespace caffe {
namespace lowbit {

namespace {

// A plan of one convolution, and what to run it on.
class Convolution {
 public:
  explicit Convolution(unsigned seed) : random_(seed) {
    const int groups = Draw(1, 3), channels = groups * Draw(1, 5), size = Draw(5, 12);
    const int outputs = groups * Draw(1, seed % 3 ? 20 : 70);
    const int input = maker_.Input(channels, size, size + Draw(0, 4));
    attributes_ = {outputs};
    const int bounds[][2] = {{1, 4}, {1, 4}, {1, 3}, {1, 3}, {0, 2}, {0, 2}};
    for (const auto& bound : bounds) attributes_.push_back(Draw(bound[0], bound[1]));
    attributes_.insert(attributes_.end(), {seed % 4 ? 1 : 2, 1, groups, static_cast<int>(seed % 3)});
    const TensorInfo& info = maker_.plan.tensors[input];
    output_ = maker_.Tensor(TensorKind::kReal, outputs, Result(info.height, 0), Result(info.width, 1));
    maker_.Stage(StageKind::kConvolution, {input}, attributes_, Weights()).steps = {
        MakeStep(StepKind::kStore, output_)};
    maker_.Output(output_);
  }

  const Plan& plan() const { return maker_.plan; }

  // Images by turns of integers and of other numbers, which need one part and three.
  std::vector<float> DrawImages(int images) {
    std::vector<float> values(images * plan().tensors[0].elements());
    for (size_t i = 0; i < values.size(); ++i) {
      const bool integers = i / plan().tensors[0].elements() % 2 == 0;
      values[i] = integers ? static_cast<float>(Draw(-255, 255)) : Normal();
    }
    return values;
  }

  // With channels first, as the result has them.
  std::vector<float> Run(const std::vector<float>& images, int threads = 1) const {
    const TensorInfo &in = plan().tensors[0], &out = plan().tensors[output_];
    const int count = static_cast<int>(images.size() / in.elements());
    std::vector<float> input = Reorder(images, count, in.channels, static_cast<int>(in.pixels()));
    std::vector<float> result(count * out.elements(), std::nanf(""));
    const std::unique_ptr<Stage> stage =
        MakeFloatTileConvolution(plan(), plan().stages[0], *EmulatedFloatKernels()[0]);
    EXPECT_STREQ(stage->Kernel(), "amx_bf16");
    const AlignedBytes room(stage->RoomBytes(count));
    std::memset(room.data(), 0xff, room.size());
    const Tensors tensors = {{Bytes(&input), Bytes(&result)}, count};
    stage->Run(tensors, room.data(), threads);
    return Reorder(result, count, static_cast<int>(out.pixels()), out.channels);
  }

  void Check(const std::vector<float>& images) const {
    const int count = static_cast<int>(images.size() / plan().tensors[0].elements());
    PackedInterpreter interpreter(plan());
    interpreter.Run(count, {images});
    const std::vector<float> results = Run(images);
    const std::vector<double>& expected = interpreter.at(output_);
    ASSERT_EQ(results.size(), expected.size());
    for (size_t i = 0; i < results.size(); ++i) {
      ASSERT_NEAR(results[i], expected[i], 1e-6 * interpreter.scale(output_)) << "element " << i;
    }
  }

 private:
  int Draw(int least, int most) { return std::uniform_int_distribution<int>(least, most)(random_); }
  float Normal() { return std::normal_distribution<float>()(random_); }

  int Result(int size, int axis) const {
    const std::vector<int>& a = attributes_;
    return (size + 2 * a[5 + axis] - (a[7 + axis] * (a[1 + axis] - 1) + 1)) / a[3 + axis] + 1;
  }

  std::vector<ArrayView> Weights() {
    const std::vector<int>& a = attributes_;
    const int outputs = a[0];
    const size_t count = static_cast<size_t>(a[1]) * a[2] * plan().tensors[0].channels / a[9];
    std::vector<float> weights(outputs * count), scales(outputs);
    for (float& weight : weights) weight = Normal();
    for (float& scale : scales) scale = std::abs(Normal());
    if (a[10] == 0) return {maker_.Floats(weights)};
    if (a[10] == 1) {
      std::vector<int8_t> bytes;
      for (size_t i = 0; i < weights.size(); ++i) bytes.push_back(static_cast<int8_t>(Draw(-127, 127)));
      return {maker_.SignedBytes(bytes), maker_.Floats(scales)};
    }
    std::vector<bool> bits;
    for (const float weight : weights) bits.push_back(weight > 0);
    return {maker_.Bytes(PackBits(bits, outputs)), maker_.Floats(scales)};
  }

  static uint8_t* Bytes(std::vector<float>* values) { return reinterpret_cast<uint8_t*>(values->data()); }

  // Exchanges two dimensions of each image.
  static std::vector<float> Reorder(const std::vector<float>& values, int images, int rows, int columns) {
    std::vector<float> reordered;
    for (int image = 0; image < images; ++image) {
      const float* const from = values.data() + static_cast<size_t>(image) * rows * columns;
      for (int column = 0; column < columns; ++column) {
        for (int row = 0; row < rows; ++row) reordered.push_back(from[row * columns + column]);
      }
    }
    return reordered;
  }

  std::mt19937 random_;
  PlanMaker maker_;
  std::vector<int> attributes_;
  int output_;
};

}  // namespace

TEST(FloatTileConvolutionTest, ComputesWhatTheFormatSays) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Convolution convolution(seed);
    convolution.Check(convolution.DrawImages(1 + seed % 4));
    if (HasFatalFailure()) return;
  }
}

TEST(FloatTileConvolutionTest, NumberOfThreadsDoesNotMatter) {
  for (unsigned seed = 200; seed < 210; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Convolution convolution(seed);
    const std::vector<float> images = convolution.DrawImages(3), expected = convolution.Run(images);
    for (const int threads : {2, 3, 7}) EXPECT_EQ(convolution.Run(images, threads), expected);
  }
}

// The parts that another image of the batch needs make no difference.
TEST(FloatTileConvolutionTest, ImagesDoNotSeeEachOther) {
  for (unsigned seed = 100; seed < 110; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Convolution convolution(seed);
    const std::vector<float> images = convolution.DrawImages(3);
    const size_t elements = images.size() / 3;
    std::vector<float> one_by_one;
    for (int image = 0; image < 3; ++image) {
      const auto first = images.begin() + image * elements;
      const std::vector<float> result = convolution.Run({first, first + elements});
      one_by_one.insert(one_by_one.end(), result.begin(), result.end());
    }
    EXPECT_EQ(convolution.Run(images), one_by_one);
  }
}

}  // namespace lowbit
}  // namespace caffe
