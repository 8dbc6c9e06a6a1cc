#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "caffe/lowbit/packed_net.hpp"
#include "caffe/test/packed_net_runs.hpp"

#ifdef CAFFE_GPU_EMULATOR
#include <cuda_runtime.h>
#endif

// Packed nets on a GPU, or on an imitated one.

namespace caffe {
namespace lowbit {

namespace {

constexpr int kGpu = 0;

/// Skips the tests where no GPU can be had, with the reason.
class PackedGpuTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string reason = MessageOf([] { Load(Identity(1, 1, 1).plan, 1, kGpu); });
    if (!reason.empty()) GTEST_SKIP() << reason;
  }
};

// Codes of an input, their binary convolution, and all that is done with its integers: values that floats
// round at each step, and codes of them.
PlanMaker BinaryStage(int channels, int outputs, int groups, std::mt19937* random) {
  PlanMaker maker;
  std::normal_distribution<float> normal;
  const auto floats = [&](int count) {
    std::vector<float> values(count);
    for (float& value : values) value = normal(*random);
    return maker.Floats(values);
  };
  const int input = maker.Input(channels, 5, 6), other = maker.Input(outputs, 5, 6);
  const auto tensor = [&](TensorKind kind, int count) { return maker.Tensor(kind, count, 5, 6); };
  const int codes = tensor(TensorKind::kCodes, channels), real = tensor(TensorKind::kReal, outputs + 3);
  const int compared = tensor(TensorKind::kCodes, outputs), quantized = tensor(TensorKind::kCodes, outputs);
  maker.Stage(StageKind::kMap, {input}).steps = {MakeStep(StepKind::kQuantize, codes, {-0.5f, 0, 0.7f})};
  const int count = 9 * channels / groups;
  std::vector<bool> bits(static_cast<size_t>(outputs) * count);
  for (size_t i = 0; i < bits.size(); ++i) bits[i] = (*random)() & 1;
  std::vector<int32_t> thresholds;
  for (int j = -1; j <= 1; ++j) {
    for (int o = 0; o < outputs; ++o) thresholds.push_back(j * count / 4 + o % 3 - 1);
  }
  maker
      .Stage(StageKind::kBinaryConvolution, {codes}, {outputs, 3, 3, 1, 1, 1, 1, 1, 1, groups},
             {maker.Bytes(PackBits(bits, outputs)), maker.Ints({0, 1, 2, 3})})
      .steps = {MakeStep(StepKind::kThreshold, compared, {}, {maker.Ints(thresholds)}),
                MakeStep(StepKind::kAffine, -1, {}, {floats(outputs), floats(outputs)}),
                MakeStep(StepKind::kAdd, other, {0.3f, 1.7f}),
                MakeStep(StepKind::kMaximum, other),
                MakeStep(StepKind::kMultiply, other),
                MakeStep(StepKind::kRelu, -1, {0.1f}),
                MakeStep(StepKind::kClamp, -1, {-3, 9.1f}),
                MakeStep(StepKind::kStore, real, {}, {}, 3),
                MakeStep(StepKind::kAffine, -1, {}, {floats(outputs), floats(outputs)}),
                MakeStep(StepKind::kQuantize, quantized, {-1, -0.1f, 0.2f, 0.9f})};
  const int three = maker.Input(3, 5, 6);
  maker.Stage(StageKind::kMap, {three}).steps = {MakeStep(StepKind::kLevels, -1, {-0.1f, 0.5f, 1, 2, 3}),
                                                 MakeStep(StepKind::kStore, real)};
  maker.Output(real);
  // Codes are seen in sums of their own channel.
  for (const int seen : {compared, quantized}) {
    const int sums = tensor(TensorKind::kReal, outputs);
    maker
        .Stage(
            StageKind::kBinaryConvolution, {seen}, {outputs, 1, 1, 1, 1, 0, 0, 1, 1, outputs},
            {maker.Bytes(PackBits(std::vector<bool>(outputs, true), outputs)), maker.Ints({0, 1, 2, 3, 4})})
        .steps = {MakeStep(StepKind::kStore, sums)};
    maker.Output(sums);
  }
  return maker;
}

}  // namespace

TEST_F(PackedGpuTest, ComputesWhatTheFormatSays) {
  for (unsigned seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const RandomCase random(seed);
    CheckPlan(random.model.plan(), random.images, random.inputs, 1e-5, kGpu);
    if (HasFatalFailure()) return;
  }
}

TEST_F(PackedGpuTest, EqualsTheProcessorBitForBit) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  const int shapes[][3] = {{1, 1, 1}, {5, 7, 1},  {32, 64, 1}, {33, 100, 1},
                           {6, 9, 3}, {64, 8, 2}, {128, 70, 1}};
  for (const auto& [channels, outputs, groups] : shapes) {
    for (const int images : {1, 3}) {
      SCOPED_TRACE(std::to_string(channels) + " channels, " + std::to_string(outputs) + " outputs, " +
                   std::to_string(images) + " images");
      const PlanMaker maker = BinaryStage(channels, outputs, groups, &random);
      Arrays inputs;
      for (const BlobInfo& blob : maker.plan.inputs) {
        inputs.emplace_back(images * maker.plan.tensors[blob.tensor].elements());
        for (float& value : inputs.back()) value = normal(random);
      }
      ExpectSame(Forward(*Load(maker.plan, 1, kGpu), images, inputs),
                 Forward(*Load(maker.plan), images, inputs));
      if (HasFailure()) return;
    }
  }
}

// Every way to divide the work.
TEST_F(PackedGpuTest, EveryTileGivesTheSame) {
  for (const char* tile : {"wide", "flat", "small"}) {
    const Environment named("HWGQ_GPU_TILE", tile);
    for (unsigned seed = 1000; seed < 1015; ++seed) {
      SCOPED_TRACE(tile + (" seed " + std::to_string(seed)));
      const RandomCase random(seed);
      CheckPlan(random.model.plan(), random.images, random.inputs, 1e-5, kGpu);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(PackedGpuTest, UnknownTileIsAnError) {
  const PlanMaker maker = BinaryConvolution(3, 2, {0, 1});
  const Environment named("HWGQ_GPU_TILE", "abacus");
  const Arrays inputs = {std::vector<float>(maker.plan.tensors[0].elements())};
  EXPECT_NE(MessageOf([&] {
              Forward(*Load(maker.plan, 1, kGpu), 1, inputs);
            }).find("HWGQ_GPU_TILE: there is no abacus"),
            std::string::npos);
}

TEST_F(PackedGpuTest, SumsTheLargestCodes) {
  for (const int channels : {1, 40, 63, 243, 513}) {
    const int kernel = channels < 400 ? 3 : 2, most = INT32_MAX / (channels * kernel * kernel);
    for (const std::vector<int32_t>& levels : std::vector<std::vector<int32_t>>{{-1, 1},
                                                                                {-3000, 3000},
                                                                                {7, -2, 0, 9, -9},
                                                                                {-500, 100, 0},
                                                                                {-most / 2, most / 2},
                                                                                {most, 0, -most},
                                                                                {0, 1},
                                                                                {0, 1, 2, 3}}) {
      SCOPED_TRACE(std::to_string(levels.size()) + " levels, " + std::to_string(channels) + " channels");
      const PlanMaker maker = BinaryConvolution(channels, kernel, levels);
      for (const int code : {0, static_cast<int>(levels.size()) - 1}) {
        // Floats round the largest sums.
        CheckPlan(maker.plan, 1,
                  {std::vector<float>(maker.plan.tensors[0].elements(), static_cast<float>(code))}, 1e-7,
                  kGpu);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST_F(PackedGpuTest, ConvolvesFloatsToRounding) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  for (const int outputs : {1, 17, 64, 65, 130}) {
    for (const int channels : {1, 3, 33}) {
      SCOPED_TRACE(std::to_string(channels) + " channels, " + std::to_string(outputs) + " outputs");
      const PlanMaker maker = FloatConvolution(channels, outputs, outputs % 2 ? 5 : 4, &random);
      Arrays inputs = {std::vector<float>(3 * maker.plan.tensors[0].elements())};
      for (float& value : inputs[0]) value = normal(random);
      CheckPlan(maker.plan, 3, inputs, 1e-6, kGpu);
      if (HasFatalFailure()) return;
    }
  }
}

// So that a code differs from the processor's only where that has rounded a value to another side of a
// threshold.
TEST_F(PackedGpuTest, SumsFloatsAsWellAsTheProcessor) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  const PlanMaker maker = FloatConvolution(16, 64, 8, &random);
  Arrays inputs = {std::vector<float>(2 * maker.plan.tensors[0].elements())};
  for (float& value : inputs[0]) value = normal(random);
  PackedInterpreter exact(maker.plan);
  exact.Run(2, inputs);
  const std::vector<double>& expected = exact.at(maker.plan.outputs[0].tensor);
  const auto error = [&](const PackedNet& net) {
    const Arrays results = Forward(net, 2, inputs);
    double sum = 0;
    for (size_t i = 0; i < expected.size(); ++i) sum += std::pow(results[0][i] - expected[i], 2);
    return std::sqrt(sum / static_cast<double>(expected.size()));
  };
  const Environment plain("HWGQ_FLOAT_KERNEL", "plain");
  EXPECT_LE(error(*Load(maker.plan, 1, kGpu)), error(*Load(maker.plan)));
}

TEST_F(PackedGpuTest, PoolsAnyNumberOfChannels) {
  std::mt19937 random(9);
  std::normal_distribution<float> normal;
  for (const int channels : {1, 7, 8, 31, 33, 64, 137}) {
    SCOPED_TRACE(std::to_string(channels) + " channels");
    Arrays inputs = {std::vector<float>(2 * channels * 30)};
    for (float& value : inputs[0]) value = normal(random);
    CheckPlan(PoolingOf(false, false, channels).plan, 2, inputs, 0, kGpu);
    CheckPlan(PoolingOf(false, true, channels).plan, 2, inputs, 1e-6, kGpu);
    CheckPlan(PoolingOf(true, false, channels).plan, 2, inputs, 0, kGpu);
    if (HasFatalFailure()) return;
  }
}

// Memory that a larger batch took serves smaller ones, whose work is divided otherwise.
TEST_F(PackedGpuTest, TakesBatchesOfAllSizes) {
  RandomModel model(42, kSmall);
  const std::unique_ptr<PackedNet> net = Load(model.plan(), 1, kGpu), expected = Load(model.plan());
  for (const int images : {1, 70, 3, 64, 65, 2}) {
    SCOPED_TRACE(std::to_string(images) + " images");
    const Arrays inputs = model.DrawInputs(images);
    ExpectNear(Forward(*net, images, inputs), Forward(*expected, images, inputs), 1e-5);
  }
}

// More than pass through the net at a time.
TEST_F(PackedGpuTest, CutsLargeBatches) {
  const std::unique_ptr<PackedNet> net = Load(Identity(2, 1, 1).plan, 1, kGpu);
  Arrays values(1);
  for (int i = 0; i < 2 * 1100; ++i) values[0].push_back(static_cast<float>(i));
  ExpectSame(Forward(*net, 1100, values), values);
}

TEST_F(PackedGpuTest, ThreadsShareANet) {
  RandomModel model(5, kSmall);
  const std::unique_ptr<PackedNet> net = Load(model.plan(), 1, kGpu);
  const int callers = 4;
  std::vector<Arrays> inputs, expected, results(callers);
  for (int i = 0; i < callers; ++i) {
    inputs.push_back(model.DrawInputs(1 + 3 * i));
    expected.push_back(Forward(*net, 1 + 3 * i, inputs[i]));
  }
  std::vector<std::thread> threads;
  for (int i = 0; i < callers; ++i) {
    threads.emplace_back([&, i] {
      for (int repeat = 0; repeat < 3; ++repeat) results[i] = Forward(*net, 1 + 3 * i, inputs[i]);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < callers; ++i) ExpectSame(results[i], expected[i]);
}

TEST_F(PackedGpuTest, RepeatsWhatItRecorded) {
  RandomModel model(6, kSmall);
  const std::unique_ptr<PackedNet> net = Load(model.plan(), 1, kGpu);
  for (int repeat = 0; repeat < 4; ++repeat) {
    for (const int images : {2, 3}) {
      const Arrays inputs = model.DrawInputs(images);
      const Arrays results = Forward(*net, images, inputs);
      const Environment unrecorded("HWGQ_GPU_GRAPH", "0");
      ExpectSame(results, Forward(*Load(model.plan(), 1, kGpu), images, inputs));
    }
  }
}

TEST_F(PackedGpuTest, HandsAnInputOn) {
  PlanMaker maker;
  maker.Output(maker.Input(2, 1, 2));
  EXPECT_EQ(Forward(*Load(maker.plan, 1, kGpu), 1, {{1, 2, 3, 4}}), (Arrays{{1, 2, 3, 4}}));
}

TEST_F(PackedGpuTest, PassesNaNAndInfinityOn) {
  const float nan = std::numeric_limits<float>::quiet_NaN(),
              infinity = std::numeric_limits<float>::infinity();
  const Arrays values = {{nan, infinity, -infinity, 1}};
  ExpectSame(Forward(*Load(Identity(1, 2, 2).plan, 1, kGpu), 1, values), values);
}

TEST_F(PackedGpuTest, ProfilesEachStage) {
  std::mt19937 random(1);
  const PlanMaker maker = FloatConvolution(2, 6, 4, &random);
  const std::unique_ptr<PackedNet> net = Load(maker.plan, 1, kGpu);
  EXPECT_EQ(net->gpu(), kGpu);
  Pass pass(*net, 20, {std::vector<float>(20 * 32, 1)});
  const std::vector<PackedNet::StageProfile> profile = net->Profile(20, pass.in, pass.out);
  ASSERT_EQ(profile.size(), 1u);
  EXPECT_EQ(profile[0].kernel, "cuda_3xtf32_mma");
  EXPECT_EQ(profile[0].multiply_adds, 20 * 6 * 18 * 16);
  EXPECT_EQ(pass.results, Forward(*net, 20, {std::vector<float>(20 * 32, 1)}));
}

TEST_F(PackedGpuTest, RefusesAGpuThatIsNotThere) {
  EXPECT_NE(MessageOf([] { Load(Identity(1, 1, 1).plan, 1, 99); }).find("there is no GPU 99"),
            std::string::npos);
}

TEST_F(PackedGpuTest, NamesTheLayerThatOnlyCaffeComputes) {
  PlanMaker maker;
  const int input = maker.Input(1, 2, 2), output = maker.Tensor(TensorKind::kReal, 1, 2, 2);
  maker.Stage(StageKind::kCaffeLayer, {input}, {3, 1, 2, 2}, {maker.Bytes({1, 2, 3})}).steps = {
      MakeStep(StepKind::kStore, output)};
  maker.plan.stages[0].name = "crop7";
  maker.Output(output);
  const std::string message = MessageOf([&] { Load(maker.plan, 1, kGpu); });
  EXPECT_NE(message.find("crop7"), std::string::npos) << message;
  EXPECT_NE(message.find("load the model for the CPU"), std::string::npos) << message;
}

#ifdef CAFFE_GPU_EMULATOR

TEST_F(PackedGpuTest, TakesMemoryOfTheGpu) {
  RandomModel model(42, kSmall);
  const std::unique_ptr<PackedNet> net = Load(model.plan(), 1, kGpu);
  Pass pass(*net, 3, model.DrawInputs(3));
  pass.Run(*net);
  std::vector<const float*> inputs;
  std::vector<float*> outputs;
  std::vector<void*> all;
  for (const std::vector<float>& values : pass.inputs) {
    void* memory = nullptr;
    ASSERT_EQ(cudaMalloc(&memory, values.size() * sizeof(float)), cudaSuccess);
    cudaMemcpy(memory, values.data(), values.size() * sizeof(float), cudaMemcpyHostToDevice);
    inputs.push_back(static_cast<float*>(memory));
    all.push_back(memory);
  }
  for (const std::vector<float>& values : pass.results) {
    void* memory = nullptr;
    ASSERT_EQ(cudaMalloc(&memory, values.size() * sizeof(float)), cudaSuccess);
    outputs.push_back(static_cast<float*>(memory));
    all.push_back(memory);
  }
  net->Forward(3, inputs, outputs);
  Arrays results = pass.results;
  for (size_t i = 0; i < results.size(); ++i) {
    cudaMemcpy(results[i].data(), outputs[i], results[i].size() * sizeof(float), cudaMemcpyDeviceToHost);
  }
  ExpectSame(results, pass.results);
  for (void* memory : all) cudaFree(memory);
}

TEST_F(PackedGpuTest, SaysThatThereIsNoGpu) {
  const auto message = [] { return MessageOf([] { Load(Identity(1, 1, 1).plan, 1, kGpu); }); };
  gpu_emulator::SetDeviceCount(0);
  const std::string no_gpu = message();
  gpu_emulator::SetDeviceCount(2);
  gpu_emulator::SetDriverVersion(11000);
  const std::string old_driver = message();
  gpu_emulator::SetDriverVersion(13000);
  EXPECT_NE(no_gpu.find("no GPU"), std::string::npos) << no_gpu;
  EXPECT_NE(old_driver.find("it offers CUDA 11.0"), std::string::npos) << old_driver;
  EXPECT_EQ(message(), "");
}

TEST_F(PackedGpuTest, SaysHowMuchMemoryIsMissing) {
  const std::unique_ptr<PackedNet> net = Load(Identity(64, 64, 64).plan, 1, kGpu);
  gpu_emulator::SetDeviceMemory(1 << 20);
  const Arrays values = {std::vector<float>(64 * 64 * 64)};
  const std::string message = MessageOf([&] { Forward(*net, 1, values); });
  gpu_emulator::SetDeviceMemory(size_t{8} << 30);
  EXPECT_NE(message.find("has not enough memory"), std::string::npos) << message;
  ExpectSame(Forward(*net, 1, values), values);
}

TEST_F(PackedGpuTest, RecordsWhileOthersUseTheLegacyStream) {
  std::atomic<bool> is_done{false};
  std::thread other([&] {
    void* memory = nullptr;
    EXPECT_EQ(cudaMalloc(&memory, 1), cudaSuccess);
    while (!is_done && !HasFailure()) {
      EXPECT_EQ(cudaMemsetAsync(memory, 0, 1, cudaStreamLegacy), cudaSuccess);
    }
    EXPECT_EQ(cudaFree(memory), cudaSuccess);
  });
  RandomModel model(7, kSmall);
  const std::unique_ptr<PackedNet> net = Load(model.plan(), 1, kGpu);
  for (int images = 1; images <= 8; ++images) {
    const Arrays inputs = model.DrawInputs(images);
    const Arrays expected = Forward(*net, images, inputs);
    for (int repeat = 0; repeat < 2; ++repeat) ExpectSame(Forward(*net, images, inputs), expected);
  }
  is_done = true;
  other.join();
}

TEST_F(PackedGpuTest, TakesNoMemoryAfterTheFirstPass) {
  RandomModel model(42, kSmall);
  const std::unique_ptr<PackedNet> net = Load(model.plan(), 1, kGpu);
  const Arrays inputs = model.DrawInputs(3);
  Forward(*net, 3, inputs);
  size_t before = 0, after = 0, total = 0;
  cudaMemGetInfo(&before, &total);
  Forward(*net, 3, inputs);
  Forward(*net, 2, inputs);
  cudaMemGetInfo(&after, &total);
  EXPECT_EQ(after, before);
}

#endif  // CAFFE_GPU_EMULATOR

}  // namespace lowbit
}  // namespace caffe
