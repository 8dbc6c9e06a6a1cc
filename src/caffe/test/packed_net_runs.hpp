#ifndef CAFFE_TEST_PACKED_NET_RUNS_HPP_
#define CAFFE_TEST_PACKED_NET_RUNS_HPP_

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "caffe/lowbit/packed_net.hpp"
#include "caffe/test/packed_interpreter.hpp"
#include "caffe/test/packed_model_writer.hpp"
#include "caffe/test/random_packed_model.hpp"

// Packed nets that are made, run and compared, on processors and GPUs. Only of libhwgq and GoogleTest.

namespace caffe {
namespace lowbit {

using Arrays = std::vector<std::vector<float>>;

/// Sets an environment variable for as long as it lives.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) { setenv(name, value.c_str(), 1); }
  ~Environment() { unsetenv(name_); }

 private:
  const char* const name_;
};

inline std::unique_ptr<PackedNet> Load(const Plan& plan, int threads = 1, int gpu = PackedNet::kNoGpu) {
  const PackedModel model(plan);
  return std::make_unique<PackedNet>(model.bytes.data(), model.bytes.size(), threads, gpu);
}

/// What a pass takes.
struct Pass {
  Pass(const PackedNet& net, int64_t images, const Arrays& inputs) : images(images), inputs(inputs) {
    for (const std::vector<float>& input : this->inputs) in.push_back(input.data());
    for (const PackedNet::Blob& blob : net.outputs()) {
      results.emplace_back(images * blob.elements, std::numeric_limits<float>::quiet_NaN());
    }
    for (std::vector<float>& result : results) out.push_back(result.data());
  }

  void Run(const PackedNet& net, int threads = 0) { net.Forward(images, in, out, threads); }

  const int64_t images;
  const Arrays inputs;
  std::vector<const float*> in;
  Arrays results;
  std::vector<float*> out;
};

inline Arrays Forward(const PackedNet& net, int64_t images, const Arrays& inputs, int threads = 0) {
  Pass pass(net, images, inputs);
  pass.Run(net, threads);
  return pass.results;
}

/// Bit by bit: a NaN equals itself.
inline void ExpectSame(const Arrays& actual, const Arrays& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    ASSERT_EQ(actual[i].size(), expected[i].size());
    EXPECT_EQ(std::memcmp(actual[i].data(), expected[i].data(), actual[i].size() * sizeof(float)), 0)
        << "output " << i;
  }
}

inline void ExpectNear(const Arrays& actual, const Arrays& expected, double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    ASSERT_EQ(actual[i].size(), expected[i].size());
    float scale = 1;
    for (const float value : expected[i]) scale = std::max(scale, std::abs(value));
    for (size_t j = 0; j < actual[i].size(); ++j) {
      ASSERT_NEAR(actual[i][j], expected[i][j], tolerance * scale) << "output " << i << ", element " << j;
    }
  }
}

/// Runs a plan, and compares what comes out with what the format says.
inline void CheckPlan(const Plan& plan, int images, const Arrays& inputs, double tolerance,
                      int gpu = PackedNet::kNoGpu) {
  PackedInterpreter interpreter(plan);
  interpreter.Run(images, inputs);
  const Arrays results = Forward(*Load(plan, 1, gpu), images, inputs);
  ASSERT_EQ(results.size(), plan.outputs.size());
  for (size_t i = 0; i < results.size(); ++i) {
    const int tensor = plan.outputs[i].tensor;
    const std::vector<double>& expected = interpreter.at(tensor);
    ASSERT_EQ(results[i].size(), expected.size());
    for (size_t j = 0; j < expected.size(); ++j) {
      ASSERT_NEAR(results[i][j], expected[j], tolerance * interpreter.scale(tensor))
          << plan.tensors[tensor].name << ", element " << j;
    }
  }
}

constexpr RandomModel::Limits kSmall = {5, 12, 7}, kWide = {4, 150, 5};

/// Models of all sizes, each with a batch; some batches are more than pass through a net at a time.
struct RandomCase {
  explicit RandomCase(unsigned seed)
      : model(seed, seed % 4 == 0 ? kWide : kSmall),
        images(seed % 5 == 0 ? 17 + static_cast<int>(seed / 5 % 17) : 1 + static_cast<int>(seed % 4)),
        inputs(model.DrawInputs(images)) {}

  RandomModel model;
  int images;
  Arrays inputs;
};

/// A map of one input to one output.
inline PlanMaker Identity(int channels, int height, int width) {
  PlanMaker maker;
  const int input = maker.Input(channels, height, width);
  const int output = maker.Tensor(TensorKind::kReal, channels, height, width);
  maker.Stage(StageKind::kMap, {input}).steps = {MakeStep(StepKind::kStore, output)};
  maker.Output(output);
  return maker;
}

/// A convolution of floats, whose errors have no other way out.
inline PlanMaker FloatConvolution(int channels, int outputs, int size, std::mt19937* random) {
  PlanMaker maker;
  std::normal_distribution<float> normal;
  const int input = maker.Input(channels, size, size),
            output = maker.Tensor(TensorKind::kReal, outputs, size, size);
  std::vector<float> weights(static_cast<size_t>(outputs) * channels * 9);
  for (float& weight : weights) weight = normal(*random);
  maker
      .Stage(StageKind::kConvolution, {input}, {outputs, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0},
             {maker.Floats(weights)})
      .steps = {MakeStep(StepKind::kStore, output)};
  maker.Output(output);
  return maker;
}

/// A quantizer and a binary convolution, whose integers and codes are seen; all weights are +1 but the last
/// output's.
inline PlanMaker BinaryConvolution(int channels, int kernel, const std::vector<int32_t>& levels) {
  PlanMaker maker;
  const int size = kernel + 1, outputs = 3, codes_count = static_cast<int>(levels.size());
  const int input = maker.Input(channels, size, size),
            codes = maker.Tensor(TensorKind::kCodes, channels, size, size);
  std::vector<float> thresholds;
  for (int j = 1; j < codes_count; ++j) thresholds.push_back(static_cast<float>(j) - 0.5f);
  maker.Stage(StageKind::kMap, {input}).steps = {MakeStep(StepKind::kQuantize, codes, thresholds)};
  const int weights = channels * kernel * kernel;
  std::vector<bool> bits(static_cast<size_t>(weights) * outputs, true);
  std::fill_n(bits.begin() + 2 * weights, weights, false);
  const int pixels = 4;  // with padding on all sides
  const int integers = maker.Tensor(TensorKind::kReal, outputs, pixels, pixels);
  maker
      .Stage(StageKind::kBinaryConvolution, {codes}, {outputs, kernel, kernel, 1, 1, 1, 1, 1, 1, 1},
             {maker.Bytes(PackBits(bits, outputs)), maker.Ints(levels)})
      .steps = {MakeStep(StepKind::kStore, integers)};
  maker.Output(integers);
  return maker;
}

/// A pooling of an input's values, or of its codes, half of whose channels take the minimum then.
inline PlanMaker PoolingOf(bool codes, bool mean, int channels) {
  PlanMaker maker;
  int pooled = maker.Input(channels, 5, 6);
  std::vector<ArrayView> flips;
  if (codes) {
    const int input = pooled;
    pooled = maker.Tensor(TensorKind::kCodes, channels, 5, 6);
    maker.Stage(StageKind::kMap, {input}).steps = {MakeStep(StepKind::kQuantize, pooled, {-1, 0, 1})};
    std::vector<uint8_t> bytes(channels);
    for (int c = 0; c < channels; ++c) bytes[c] = c % 2 ? 255 : 0;
    flips = {maker.Bytes(bytes)};
  }
  int result = maker.Tensor(codes ? TensorKind::kCodes : TensorKind::kReal, channels, 3, 3);
  maker.Stage(StageKind::kPooling, {pooled}, {mean, 3, 3, 2, 2, 1, 1, 3, 3}, flips).steps = {
      MakeStep(StepKind::kStore, result)};
  if (codes) {
    const int real = maker.Tensor(TensorKind::kReal, channels, 3, 3);
    // Shows the codes: an output a channel, whose weight is +1.
    maker
        .Stage(StageKind::kBinaryConvolution, {result}, {channels, 1, 1, 1, 1, 0, 0, 1, 1, channels},
               {maker.Bytes(PackBits(std::vector<bool>(channels, true), channels)), maker.Ints({0, 1, 2, 3})})
        .steps = {MakeStep(StepKind::kStore, real)};
    result = real;
  }
  maker.Output(result);
  return maker;
}

inline std::string MessageOf(const std::function<void()>& body) {
  try {
    body();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_TEST_PACKED_NET_RUNS_HPP_
